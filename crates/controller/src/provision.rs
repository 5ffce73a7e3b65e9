//! What a Gateway needs in the cluster: a Deployment of proxies and a Service with an address.

mod fleet;
mod spec;
mod write;

pub(crate) use fleet::{Fleet, Item, ItemKind, Op, Outcome};
pub(crate) use spec::{Template, is_own};
pub(crate) use write::write;
