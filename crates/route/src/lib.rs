//! Which rule a request meets: host, path, method, headers and query, with the precedence of the Gateway API.
//!
//! [`Table::compile`] turns the routes of the listeners that share a port into a table, [`Table::edit`] makes the next one where some routes have
//! changed; [`Table::find`] asks it, without allocating and in a time that does not grow with the number of hosts and paths. [`path`] is the one place where a path is normalised, before anybody looks
//! at it.
//!
//! Precedence, in this order:
//! 1. the listener whose hostname is the most specific for the request's host: an exact one, then the longest wildcard, then none. Only
//!    its routes can answer (listener isolation);
//! 2. of its routes' hostnames the most specific one, in the same way. Routes of less specific hostnames are not asked, as in Envoy, which
//!    picks one virtual host;
//! 3. the path: exact, then regular expressions (the longer text first), then the longest prefix. The Gateway API leaves the place of
//!    regular expressions open; this is Envoy Gateway's (its `internal/gatewayapi/sort.go`);
//! 4. a method match; the most header matches, then the most exact ones; the most query matches, then the most exact ones;
//! 5. the oldest route, the route whose name comes first, the first rule, the first match.

mod candidate;
mod hosts;
pub mod path;
mod paths;
mod query;
mod regexes;
mod shards;
mod slots;
mod table;

use std::borrow::Cow;
use std::sync::Arc;

use weir_model::{ListenerName, Route, Rule};

pub use slots::Slots;
pub use table::Table;

/// What a request shows of itself.
pub trait RequestView {
    /// The host, lower case, without a port; empty when the request has none.
    fn host(&self) -> &str;
    /// The path, as [`path::normalise`] leaves it, without the query.
    fn path(&self) -> &str;
    /// The method.
    fn method(&self) -> &str;
    /// The value of the header with this name (lower case), if there is one; several values are joined by a comma.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// What stands behind the `?`, if there is one.
    fn query(&self) -> Option<&str>;
}

/// What [`Table::find`] found.
#[derive(Debug, Clone, Copy)]
pub enum Found<'t> {
    /// The rule that the request meets.
    Rule(Matched<'t>),
    /// None: the request is answered 404.
    NoRoute {
        /// The listener that the request belongs to, if any answers for its host.
        listener: Option<&'t ListenerName>,
    },
}

/// A rule that a request meets.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'t> {
    /// The listener that the request belongs to.
    pub listener: &'t ListenerName,
    /// The route.
    pub route: &'t Arc<Route>,
    /// The rule's place in `route.rules`.
    pub rule_index: usize,
    /// The rule.
    pub rule: &'t Rule,
    /// How many bytes of the path a prefix match covers; none when another kind of match decided. What remains is empty or begins with a
    /// slash: `/` covers 0 bytes.
    pub prefix_len: Option<usize>,
    /// Which rule of the table it is: a small number that no other rule of the table has. It stays while the route is not edited.
    pub id: u32,
}

#[cfg(test)]
mod tests;
