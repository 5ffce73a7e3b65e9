//! Weir: a Kubernetes Gateway API gateway, control plane and data plane in one binary.

fn main() {}
