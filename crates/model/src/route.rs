//! Routes: which requests go where, and what is done to them on the way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{BackendName, HostPattern, Invalid, ListenerName, ObjectName};

/// A set of rules and the listeners that they hold for. One per object of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its name.
    pub name: ObjectName,
    /// When it was created, in seconds of Unix time: of two routes that match equally well the older one wins, then the one whose name
    /// comes first.
    pub created: i64,
    /// The listeners that it is attached to; none when no listener took it.
    pub attachments: Vec<Attachment>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A listener that a route is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The listener.
    pub listener: ListenerName,
    /// The hosts that both the listener and the route answer for; at least one.
    pub hostnames: Vec<HostPattern>,
}

/// What matches, and what then happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What statistics and logs call it: `httproute/NAMESPACE/NAME/rule/INDEX`.
    pub name: Arc<str>,
    /// Any of these must match; at least one.
    pub matches: Vec<Match>,
    /// What is done to every request and its answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// What becomes of the request.
    pub action: Action,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// All of these must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The path.
    pub path: PathMatch,
    /// The method, when only one matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Arc<str>>,
    /// The headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// The query parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<QueryMatch>,
}

/// Which paths, compared case-sensitively with the normalised path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathMatch {
    /// This path alone.
    Exact(Arc<str>),
    /// This path and all below it, by whole segments: `/v2` holds `/v2` and `/v2/a`, not `/v2a`. No trailing slash, save in `/`.
    Prefix(Arc<str>),
    /// Paths that the expression matches as a whole.
    Regex(Pattern),
}

/// A header that must be there with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// The header's name.
    pub name: HeaderName,
    /// Its value.
    pub value: ValueMatch,
}

/// A query parameter that must be there with a value. The first one of the name counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryMatch {
    /// The parameter's name, compared case-sensitively after percent-decoding.
    pub name: Arc<str>,
    /// Its value.
    pub value: ValueMatch,
}

/// Which values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueMatch {
    /// This value alone.
    Exact(Arc<str>),
    /// Values that the expression matches as a whole.
    Regex(Pattern),
}

/// A regular expression that has been compiled once, so it is known to be usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// The most memory that a compiled expression may take, in bytes. A tenant's route must not be able to take more.
    pub const SIZE_LIMIT: usize = 1 << 20;

    /// Reads an expression of the `regex` crate's syntax (RE2's).
    ///
    /// # Errors
    /// [`Invalid::Pattern`] when it cannot be parsed or would grow beyond [`Self::SIZE_LIMIT`].
    pub fn new(text: &str) -> Result<Self, Invalid> {
        Self::build(text).map(|_| Self(text.into()))
    }

    /// The expression compiled, to match whole texts.
    ///
    /// # Errors
    /// None in practice: it compiled when `self` was made.
    pub fn compile(&self) -> Result<regex::bytes::Regex, Invalid> {
        Self::build(&self.0)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn build(text: &str) -> Result<regex::bytes::Regex, Invalid> {
        let invalid = |reason: String| Invalid::Pattern { pattern: text.to_owned(), reason };
        // Parsed alone first, so that an unbalanced parenthesis cannot escape the group that anchors it.
        regex::bytes::RegexBuilder::new(text).size_limit(Self::SIZE_LIMIT).build().map_err(|e| invalid(e.to_string()))?;
        regex::bytes::RegexBuilder::new(&format!("^(?:{text})$")).size_limit(Self::SIZE_LIMIT).build().map_err(|e| invalid(e.to_string()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.as_ref().to_owned()
    }
}

/// A header name, lower case (RFC 9110, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(Arc<str>);

impl HeaderName {
    /// Reads a header name.
    ///
    /// # Errors
    /// [`Invalid::Header`] unless it is a token of 1 to 256 bytes.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || text.len() > 256 || !text.bytes().all(is_token) {
            return Err(Invalid::Header(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HeaderName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::new(&text)
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// What is done to a request or its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Filter {
    /// Edits the request's headers.
    RequestHeaders(HeaderEdit),
    /// Edits the answer's headers.
    ResponseHeaders(HeaderEdit),
    /// Changes the request's host or path before it is forwarded.
    Rewrite {
        /// The new host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hostname: Option<Arc<str>>,
        /// The new path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<PathRewrite>,
    },
}

/// Header changes: first `set`, then `add`, then `remove`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderEdit {
    /// Replaced, or added where missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(HeaderName, Arc<str>)>,
    /// Appended to what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<(HeaderName, Arc<str>)>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<HeaderName>,
}

/// A new path. The query stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathRewrite {
    /// The whole path becomes this.
    Full(Arc<str>),
    /// The matched prefix becomes this; only with [`PathMatch::Prefix`].
    Prefix(Arc<str>),
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It goes to one of these, by weight. Empty, or all of weight 0: it is answered 500.
    Forward(Vec<Weighted>),
    /// It is answered with a redirect.
    Redirect(Redirect),
    /// It is answered 500, since the rule cannot be carried out.
    Fail(FailReason),
}

/// One of several destinations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighted {
    /// Its share of the requests, relative to the others'.
    pub weight: u32,
    /// The destination.
    pub target: Target,
    /// What is done to requests that go there, after the rule's own filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}

/// A destination, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A backend.
    Backend(BackendName),
    /// The reference is broken: this share of the requests is answered 500.
    Fail(FailReason),
}

/// Why requests are answered 500: a short text for the access log's `response_code_details`, such as `backend_not_found`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailReason(pub Arc<str>);

/// Where a redirect leads. What is not given stays as the request had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Arc<str>>,
    /// The port. When not given: the new scheme's own port if a scheme is given, else the listener's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// A URL scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `http`, port 80.
    Http,
    /// `https`, port 443.
    Https,
}

/// How long things may take. None: no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From the request's arrival to the answer's end; then 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
    /// One attempt at the backend; then 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<Duration>,
}
