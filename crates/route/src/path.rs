//! The one place where a path is normalised, before a route, a policy or a rewrite looks at it; what comes out is also what is forwarded.
//!
//! RFC 3986, section 6.2.2: escapes of unreserved characters are decoded, others get upper-case digits, dot segments are resolved. What
//! Envoy does beyond that by default is done here too: a backslash is a slash, bytes beyond ASCII are escaped, and as Envoy Gateway
//! configures it (`internal/gatewayapi/listener.go`), slashes in a row become one, and a path with escaped slashes is redirected to the one
//! without. What two readers could understand differently is refused.

use std::borrow::Cow;

use weir_model::PathMatch;

use crate::query::hex;

/// What is done beyond RFC 3986.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Slashes in a row become one.
    pub merge_slashes: bool,
    /// What becomes of `%2F` and `%5C`.
    pub escaped_slashes: EscapedSlashes,
}

impl Default for Options {
    fn default() -> Self {
        Self { merge_slashes: true, escaped_slashes: EscapedSlashes::UnescapeAndRedirect }
    }
}

/// What becomes of `%2F` and `%5C`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// They stay.
    Keep,
    /// The request is refused.
    Reject,
    /// They become slashes.
    Unescape,
    /// They become slashes, and the client is sent to that path with status 307.
    UnescapeAndRedirect,
}

/// A normalised path: ASCII, absolute, without dot segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normal<'a> {
    /// The path; borrowed when there was nothing to do.
    pub path: Cow<'a, str>,
    /// Whether the request is to be answered with a redirect (307) to `path` instead. It may begin with two slashes when they are not
    /// merged: name the scheme and the host in `Location`.
    pub redirect: bool,
}

/// Why a path is refused, with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    #[error("the path has a % without two hexadecimal digits")]
    Escape,
    /// A control character, a space, `#` or `?`, which cannot be part of a path; or an escaped NUL.
    #[error("the path has a character that cannot be part of it")]
    Character,
    /// An escaped slash, where these are refused.
    #[error("the path has an escaped slash")]
    EscapedSlash,
    /// A dot segment with a parameter (`/..;x/`), which some servers resolve and some do not.
    #[error("the path has a dot segment with a parameter")]
    DotParameter,
}

/// Normalises `raw`, a path without its query.
///
/// # Errors
/// [`BadPath`] when it cannot be a path, or could be two.
pub fn normalise<'a>(raw: &'a [u8], options: &Options) -> Result<Normal<'a>, BadPath> {
    if raw.first() != Some(&b'/') {
        return Err(BadPath::NotAbsolute);
    }
    if is_normal(raw, options.merge_slashes)
        && let Ok(path) = str::from_utf8(raw)
    {
        return Ok(Normal { path: Cow::Borrowed(path), redirect: false });
    }
    let Decoded { bytes, unescaped_slash } = decode(raw, options.escaped_slashes)?;
    let mut path = resolve(&bytes)?;
    if options.merge_slashes {
        path.dedup_by(|a, b| *a == b'/' && *b == b'/');
    }
    let path = String::from_utf8(path).map_err(|_| BadPath::Character)?;
    Ok(Normal { path: Cow::Owned(path), redirect: unescaped_slash && options.escaped_slashes == EscapedSlashes::UnescapeAndRedirect })
}

/// The match with its path normalised as requests' paths are, so that `/%7euser` in a route means what it means in a request.
pub(crate) fn of_match(it: &PathMatch) -> Cow<'_, PathMatch> {
    let keep = Options { merge_slashes: false, escaped_slashes: EscapedSlashes::Keep };
    let changed = |text: &str| match normalise(text.as_bytes(), &keep) {
        Ok(Normal { path: Cow::Owned(path), .. }) => Some(path.into()),
        Ok(_) | Err(_) => None,
    };
    let owned = match it {
        PathMatch::Exact(path) => changed(path).map(PathMatch::Exact),
        PathMatch::Prefix(path) => changed(path).map(PathMatch::Prefix),
        PathMatch::Regex(_) => None,
    };
    owned.map_or(Cow::Borrowed(it), Cow::Owned)
}

/// Whether there is nothing to do. Most paths are such, so this looks at each byte once.
fn is_normal(raw: &[u8], merge_slashes: bool) -> bool {
    let mut rest = raw;
    while let [byte, after @ ..] = rest {
        match byte {
            b'/' => match after {
                [b'/', ..] if merge_slashes => return false,
                [b'.'] | [b'.', b'/' | b';', ..] | [b'.', b'.'] | [b'.', b'.', b'/' | b';', ..] => return false,
                _ => {}
            },
            b'%' | b'\\' | b'#' | b'?' | 0..=b' ' | 0x7f.. => return false,
            _ => {}
        }
        rest = after;
    }
    true
}

struct Decoded {
    bytes: Vec<u8>,
    unescaped_slash: bool,
}

/// Escapes and single characters, so that what is left to do is about segments.
fn decode(raw: &[u8], escaped_slashes: EscapedSlashes) -> Result<Decoded, BadPath> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut unescaped_slash = false;
    let mut rest = raw;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                let [high, low, after @ ..] = after else { return Err(BadPath::Escape) };
                rest = after;
                let value = hex(*high).ok_or(BadPath::Escape)? << 4 | hex(*low).ok_or(BadPath::Escape)?;
                match (value, escaped_slashes) {
                    (0, _) => return Err(BadPath::Character),
                    (b'/' | b'\\', EscapedSlashes::Reject) => return Err(BadPath::EscapedSlash),
                    (b'/' | b'\\', EscapedSlashes::Unescape | EscapedSlashes::UnescapeAndRedirect) => {
                        unescaped_slash = true;
                        bytes.push(b'/');
                    }
                    _ if is_unreserved(value) => bytes.push(value),
                    _ => escape(value, &mut bytes),
                }
            }
            b'\\' => bytes.push(b'/'),
            b'#' | b'?' | 0..=b' ' | 0x7f => return Err(BadPath::Character),
            0x80.. => escape(*byte, &mut bytes),
            _ => bytes.push(*byte),
        }
    }
    Ok(Decoded { bytes, unescaped_slash })
}

/// Dot segments (RFC 3986, section 5.2.4).
fn resolve(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut resolved = Vec::with_capacity(path.len());
    let mut segments = path.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    let parent = resolved.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                    resolved.truncate(parent);
                }
                if segments.peek().is_none() {
                    resolved.push(b'/');
                }
            }
            _ if is_dot_with_parameter(segment) => return Err(BadPath::DotParameter),
            _ => {
                resolved.push(b'/');
                resolved.extend_from_slice(segment);
            }
        }
    }
    if resolved.is_empty() {
        resolved.push(b'/');
    }
    Ok(resolved)
}

fn is_dot_with_parameter(segment: &[u8]) -> bool {
    let rest = segment.strip_prefix(b"..").or_else(|| segment.strip_prefix(b"."));
    rest.is_some_and(|rest| rest.starts_with(b";") || rest.starts_with(b"%3B"))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests;
