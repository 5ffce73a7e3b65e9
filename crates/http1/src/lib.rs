//! The HTTP/1 codec, without input or output: bytes in, decisions out.
//!
//! Strict on purpose. What two parsers can read in two ways is how requests are smuggled (RFC 9112, section 11.2), so whatever is
//! ambiguous is refused, and what is forwarded is written anew from what was parsed, never copied as it came.
//!
//! - [`Request::parse`] and [`Response::parse`] read heads into reusable storage: spans into the buffer, no allocation.
//! - [`Body`] says how a message's body is framed; [`Chunked`] takes chunked bodies apart, in place.
//! - [`trailer`] says which fields may stand behind a body.
//! - [`mod@write`] holds what is needed to write a head.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod chunked;
mod field;
mod host;
mod request;
mod response;
pub mod trailer;
pub mod write;

pub use chunked::{Chunked, Decoded};
pub use field::{Field, Known, Span};
pub use host::{Authority, authority};
pub use request::{Connection, Form, Request};
pub use response::Response;

/// The most bytes of a head; Envoy's default (`max_request_headers_kb`: 60).
pub const MAX_HEAD: usize = 60 * 1024;
/// The most header fields of a head; Envoy's default (`max_headers_count`: 100).
pub const MAX_FIELDS: usize = 100;

/// How a message's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// There is none.
    #[default]
    None,
    /// After this many bytes; at least one.
    Length(u64),
    /// It is chunked.
    Chunked,
    /// With the connection. Answers only.
    UntilClose,
}

/// Whether a head could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// All of it: this many bytes.
    Complete(usize),
    /// Not yet: more bytes are needed.
    Partial,
}

/// Why a message is refused. The texts are Envoy's `response_code_details` where it has one for the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The head does not follow the grammar.
    #[error("http1.codec_error")]
    Syntax,
    /// A line that ends in LF alone, or a CR in a line (RFC 9112, section 2.2).
    #[error("http1.bare_line_ending")]
    LineEnding,
    /// The method is not one that can be forwarded.
    #[error("http1.invalid_method")]
    Method,
    /// `CONNECT`: this is not a forward proxy.
    #[error("http1.connect_not_allowed")]
    Connect,
    /// The request target is malformed or of a form that its method does not allow.
    #[error("http1.invalid_url")]
    Target,
    /// Not HTTP/1.1, nor HTTP/1.0.
    #[error("http1.invalid_version")]
    Version,
    /// HTTP/1.0, which has neither a mandatory Host nor chunked bodies, where it is not allowed.
    #[error("low_version")]
    LowVersion,
    /// Not exactly one Host, or a malformed one, or one that disagrees with the target.
    #[error("http1.invalid_host")]
    Host,
    /// A header name with an underscore: applications confuse it with a hyphen (Envoy Gateway's default is to refuse it, too). Told by
    /// [`Request::underscores`], refused by whoever has the rule.
    #[error("http1.unexpected_underscore")]
    Underscore,
    /// More than one Authorization: whoever checks one and whoever acts on the other would not speak of the same client.
    #[error("http1.repeated_credentials")]
    Credentials,
    /// A malformed or repeated Content-Length.
    #[error("http1.invalid_content_length")]
    ContentLength,
    /// A transfer coding other than a single `chunked`.
    #[error("http1.invalid_transfer_encoding")]
    TransferEncoding,
    /// Both Content-Length and Transfer-Encoding (RFC 9112, section 6.1).
    #[error("http1.content_length_and_chunked_not_allowed")]
    LengthAndChunked,
    /// More than [`MAX_HEAD`] bytes or [`MAX_FIELDS`] fields.
    #[error("request_headers_too_large")]
    TooLarge,
    /// A malformed chunk.
    #[error("http1.invalid_chunk")]
    Chunk,
    /// A malformed trailer section, or one that is too large.
    #[error("http1.invalid_trailer")]
    Trailer,
}

#[cfg(test)]
mod tests;
