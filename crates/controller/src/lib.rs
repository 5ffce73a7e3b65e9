//! The Kubernetes controller: watches, the translate loop, statuses, provisioning.
