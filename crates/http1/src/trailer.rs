//! Trailer sections (RFC 9112, section 7.1.2): which of their fields may pass, and how they are taken apart.

/// Fields that say how a message is framed, routed, authenticated or to be read: whoever merged one from a trailer section into the head
/// would act on it too late, after the decision that it is about (RFC 9110, section 6.5.1). Sorted.
const FORBIDDEN: [&str; 41] = [
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
];

/// What proxies say of clients and of themselves: not for a message's end to say.
const FORBIDDEN_FAMILIES: [&str; 2] = ["x-envoy-", "x-forwarded-"];

/// Whether a trailer section may have a field of that name.
pub fn may_trail(name: &[u8]) -> bool {
    let begins = |family: &&str| name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family.as_bytes()));
    !FORBIDDEN.iter().any(|it| name.eq_ignore_ascii_case(it.as_bytes())) && !FORBIDDEN_FAMILIES.iter().any(begins)
}

/// The fields of a trailer section: lines as [`crate::Chunked::take_trailers`] gives them.
pub fn fields(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let (line, after) = rest.split_at_checked(end + 1)?;
        rest = after;
        let colon = memchr::memchr(b':', line)?;
        Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_something_may_not_trail() {
        assert!(FORBIDDEN.is_sorted());
        for name in ["Content-Length", "HOST", "x-forwarded-for", "X-Envoy-Anything", "set-cookie", "Authorization"] {
            assert!(!may_trail(name.as_bytes()), "{name}");
        }
        for name in ["x-checksum", "grpc-status", "digest", "server-timing", "etag", "x-forward", "authentication-info"] {
            assert!(may_trail(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn lines_are_taken_apart() {
        let found: Vec<_> = fields(b"A: b\r\nC:\r\nd:e:f \r\n").collect();
        assert_eq!(found, [(b"A".as_slice(), b"b".as_slice()), (b"C", b""), (b"d", b"e:f")]);
        assert_eq!(fields(b"").count(), 0);
    }
}
