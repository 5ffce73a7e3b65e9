//! A Kubernetes-style API server: store, REST, watch, patch, tables, OpenAPI.
