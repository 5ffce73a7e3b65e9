//! Resources to Model and statuses, as a pure function.
//!
//! [`Translator::translate`] reads [`Resources`] (the objects of the API, decoded one by one), [`Settings`] (the administrator's
//! choices) and [`Observed`] (what only the world knows), and gives an [`Output`]: the Model for the data plane, the status of every
//! object, and the proxies to provision. There is no clock, no randomness and no I/O in it.
//!
//! It is total: an object that is wrong gets a condition that says so, and changes nothing for its neighbours. Inside it is made of
//! functions of one object each, whose results are kept while what they read stands, so that one changed route costs one route.
//!
//! Every specification is taken apart field by field: a field that the API gains and that is forgotten here does not compile.

mod backend;
mod class;
mod condition;
mod core;
mod envoy_proxy;
mod features;
mod fields;
mod gateway;
mod grants;
mod material;
mod memo;
mod naming;
mod observed;
mod output;
mod policy;
mod provision;
mod resources;
mod route;
mod selector;
mod status;
mod time;
mod translator;
mod trust;

pub use features::SUPPORTED_FEATURES;
pub use observed::{Observed, ProxyState, Settings};
pub use output::{Output, ProxyPort, ProxySpec};
pub use resources::{DecodeError, Kind, Resources};
pub use status::{Kept, Merge, ObjectRef, Status, StatusUpdate, Statuses};
pub use translator::Translator;
