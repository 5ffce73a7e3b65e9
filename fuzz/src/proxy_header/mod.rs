//! The PROXY protocol's header: the data plane's file is taken in as it is. Promised: what comes behind a header changes nothing of it, and
//! no part of one is taken for a whole; and a reader written apart, from the specification alone, finds the same.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

#[path = "../../../crates/proxy/src/proxy_protocol.rs"]
mod proxy_protocol;

use proxy_protocol::{Header, Invalid, MAX, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

pub(crate) fn proxy_header(data: &[u8]) {
    let whole = parse(data);
    assert_eq!(parse(data), whole);
    for end in (0..data.len()).step_by(data.len().div_ceil(64).max(1)) {
        match (&whole, parse(&data[..end])) {
            (Ok(Header::Complete { length, .. }), Ok(Header::Partial)) if end < *length => {}
            (Ok(Header::Complete { length, .. }), part) if end >= *length => assert_eq!(part, whole),
            (Ok(Header::Partial), Ok(Header::Partial)) => {}
            (Ok(Header::Absent), Ok(Header::Partial | Header::Absent)) => {}
            (Err(_), Ok(Header::Partial) | Err(_)) => {}
            (whole, part) => panic!("the first {end} bytes are {part:?}, all {} are {whole:?}", data.len()),
        }
    }
    if let Ok(Header::Complete { length, .. }) = whole {
        assert!(length <= MAX && length <= data.len(), "{length} of {}", data.len());
    }
    let theirs = if data.starts_with(b"PROXY ") {
        version_1(data)
    } else if data.starts_with(SIGNATURE) {
        version_2(data)
    } else if b"PROXY ".starts_with(data) || SIGNATURE.starts_with(data) {
        Some(Header::Partial)
    } else {
        Some(Header::Absent)
    };
    match (&whole, &theirs) {
        (Ok(ours), Some(theirs)) => assert_eq!(ours, theirs),
        // Waiting for more does not make it good: who waits and who refuses at once may differ.
        (Err(_), None | Some(Header::Partial)) | (Ok(Header::Partial), None) => {}
        (Err(Invalid::TooLong), _) if data.len() > 107 => {}
        (ours, theirs) => panic!("we say {ours:?}, the specification {theirs:?}"),
    }
}

/// None: it breaks the grammar.
fn version_1(data: &[u8]) -> Option<Header> {
    let Some(end) = data.iter().take(107).position(|byte| *byte == b'\n') else {
        return (data.len() < 107).then_some(Header::Partial);
    };
    let line = std::str::from_utf8(&data[..=end]).ok()?.strip_suffix("\r\n")?;
    let words: Vec<&str> = line.split(' ').collect();
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| port.to_string() == text);
    let source = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", from, to, from_port, to_port] => {
            let (from, _, _) = (from.parse::<Ipv4Addr>().ok()?, to.parse::<Ipv4Addr>().ok()?, port(to_port)?);
            Some(SocketAddr::new(from.into(), port(from_port)?))
        }
        ["PROXY", "TCP6", from, to, from_port, to_port] => {
            let (from, _, _) = (from.parse::<Ipv6Addr>().ok()?, to.parse::<Ipv6Addr>().ok()?, port(to_port)?);
            Some(SocketAddr::new(from.into(), port(from_port)?))
        }
        _ => return None,
    };
    Some(Header::Complete { length: end + 1, source })
}

fn version_2(data: &[u8]) -> Option<Header> {
    let Some(fixed) = data.get(12..16) else { return Some(Header::Partial) };
    let length = 16 + usize::from(fixed[2]) * 256 + usize::from(fixed[3]);
    let Some(body) = data.get(16..length) else { return Some(Header::Partial) };
    if length > MAX {
        return None;
    }
    let whole = |source| Some(Header::Complete { length, source });
    match (fixed[0], fixed[1]) {
        (0x20, _) => whole(None),
        (0x21, 0x00) => extensions(body).then(|| whole(None))?,
        (0x21, 0x31) => extensions(body.get(216..)?).then(|| whole(None))?,
        (0x21, 0x11) => {
            let (address, rest) = body.split_first_chunk::<12>()?;
            let [a, b, c, d, .., high, low, _, _] = *address;
            let source = SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]));
            extensions(rest).then(|| whole(Some(source)))?
        }
        (0x21, 0x21) => {
            let (address, rest) = body.split_first_chunk::<36>()?;
            let from: [u8; 16] = address[..16].try_into().ok()?;
            let source = SocketAddr::new(Ipv6Addr::from(from).into(), u16::from_be_bytes([address[32], address[33]]));
            extensions(rest).then(|| whole(Some(source)))?
        }
        _ => None,
    }
}

/// Whether these are type-length-values, from the first byte to the last.
fn extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let (Some(high), Some(low)) = (rest.get(1), rest.get(2)) else { return false };
        let end = 3 + usize::from(*high) * 256 + usize::from(*low);
        match rest.get(end..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}
