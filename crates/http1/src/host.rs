//! The host that a request is for.

/// A host and perhaps a port, as in a Host field or an absolute target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host as written; of an IPv6 address with its brackets.
    pub host: &'a str,
    /// The port, if there is one.
    pub port: Option<u16>,
}

/// Reads `host`, `host:port` or `[v6]:port`. Refuses user information, white space and whatever else a host name cannot have, since
/// another parser might see another host in it.
pub fn authority(text: &[u8]) -> Option<Authority<'_>> {
    let text = std::str::from_utf8(text).ok()?;
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let end = inner.find(']')? + 2;
            let address = text.get(1..end - 1)?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (text.get(..end)?, text.get(end..)?)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let host = text.get(..end)?;
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            if host.is_empty() || host.len() > 255 || !host.bytes().all(fine) {
                return None;
            }
            (host, text.get(end..)?)
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        Some(digits) if !digits.is_empty() && digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        Some(_) => return None,
    };
    Some(Authority { host, port })
}
