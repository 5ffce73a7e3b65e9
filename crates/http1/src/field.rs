//! Header fields as spans into the buffer that the head was read into.

use std::ops::Range;

use crate::Invalid;

/// A part of the head. Heads are at most [`crate::MAX_HEAD`] bytes, so 16 bits suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// The span of `part`, a part of `whole`.
    pub(crate) fn of(whole: &[u8], part: &[u8]) -> Result<Self, Invalid> {
        let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize).ok_or(Invalid::TooLarge)?;
        Self::new(start, start + part.len())
    }

    pub(crate) fn new(start: usize, end: usize) -> Result<Self, Invalid> {
        match (u16::try_from(start), u16::try_from(end)) {
            (Ok(start), Ok(end)) => Ok(Self { start, end }),
            _ => Err(Invalid::TooLarge),
        }
    }

    /// Its bytes in `head`; nothing if `head` is not what was parsed.
    #[inline]
    pub fn bytes<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        head.get(self.range()).unwrap_or_default()
    }

    /// Where it is.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// A header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Field {
    /// Its name as written.
    pub name: Span,
    /// Its value without the white space around it.
    pub value: Span,
    /// What the name means to a proxy.
    pub known: Known,
}

/// Names that mean something to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Known {
    /// Any other.
    #[default]
    Other,
    /// `connection`
    Connection,
    /// `content-length`
    ContentLength,
    /// `date`
    Date,
    /// `expect`
    Expect,
    /// `host`
    Host,
    /// `http2-settings`, `keep-alive`, `proxy-connection`, `te`, `trailer`: for this connection alone, dropped.
    HopByHop,
    /// `transfer-encoding`
    TransferEncoding,
    /// `upgrade`
    Upgrade,
    /// `user-agent`
    UserAgent,
    /// `x-envoy-...`: a proxy's own; dropped when a client sends it.
    XEnvoy,
    /// `x-forwarded-client-cert`: says who a client is, so it is not for every client to say.
    XForwardedClientCert,
    /// `x-forwarded-for`
    XForwardedFor,
    /// `x-forwarded-proto`
    XForwardedProto,
    /// `x-request-id`
    XRequestId,
}

impl Known {
    /// Looks a name up, in whatever case.
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Self {
        let is = |text: &[u8]| name.eq_ignore_ascii_case(text);
        match name.len() {
            2 if is(b"te") => Self::HopByHop,
            4 if is(b"host") => Self::Host,
            4 if is(b"date") => Self::Date,
            6 if is(b"expect") => Self::Expect,
            7 if is(b"upgrade") => Self::Upgrade,
            7 if is(b"trailer") => Self::HopByHop,
            10 if is(b"connection") => Self::Connection,
            10 if is(b"user-agent") => Self::UserAgent,
            10 if is(b"keep-alive") => Self::HopByHop,
            12 if is(b"x-request-id") => Self::XRequestId,
            14 if is(b"content-length") => Self::ContentLength,
            14 if is(b"http2-settings") => Self::HopByHop,
            15 if is(b"x-forwarded-for") => Self::XForwardedFor,
            16 if is(b"proxy-connection") => Self::HopByHop,
            17 if is(b"transfer-encoding") => Self::TransferEncoding,
            17 if is(b"x-forwarded-proto") => Self::XForwardedProto,
            23 if is(b"x-forwarded-client-cert") => Self::XForwardedClientCert,
            9.. if name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"x-envoy-")) => Self::XEnvoy,
            _ => Self::Other,
        }
    }
}

/// A Content-Length: digits and nothing else (RFC 9110, section 8.6), so no sign, no list, no space within.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Invalid> {
    if value.is_empty() || value.len() > 19 {
        return Err(Invalid::ContentLength);
    }
    value.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'9' => Ok(sum * 10 + u64::from(digit - b'0')),
        _ => Err(Invalid::ContentLength),
    })
}

/// The elements of a comma-separated list, without white space around them, empty ones left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether every line of a head ends in CRLF and CR occurs nowhere else; `httparse` lets LF alone pass as a line's end.
pub(crate) fn lines_are_clean(head: &[u8]) -> bool {
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', head) {
        let line = head.get(from..at).unwrap_or_default();
        match line.split_last() {
            Some((b'\r', _)) => from = at + 1,
            _ => return false,
        }
    }
    true
}
