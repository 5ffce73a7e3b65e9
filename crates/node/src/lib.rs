//! The embedded node: workloads, addresses, services, endpoints.
