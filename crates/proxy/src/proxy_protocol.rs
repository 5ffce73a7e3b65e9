//! The PROXY protocol, versions 1 and 2: what a load balancer writes before a connection's first byte, to say whose it is.
//!
//! Specification: HAProxy's `doc/proxy-protocol.txt`. Strict: what is not exactly a header is refused, since whatever follows it would be
//! read as a request. Bytes in, a decision out; called again with more bytes when there were too few.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// Too few to tell.
    Partial,
    /// Not a header.
    Absent,
    /// A header, this many bytes long.
    Complete {
        length: usize,
        /// Whose connection it is; none when the sender speaks for itself (`LOCAL`), or does not know.
        source: Option<SocketAddr>,
    },
}

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("the PROXY header does not follow the grammar")]
    Syntax,
    #[error("the PROXY header is longer than {MAX} bytes")]
    TooLong,
    #[error("the PROXY header is not of a connection over TCP")]
    Transport,
}

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its line end (section 2.1).
const MAX_1: usize = 107;
/// The longest that is read. Version 2 allows 64 KiB; what is in use, a few extensions, has some hundred bytes.
pub(crate) const MAX: usize = 4096;

/// Reads a header from the start of `bytes`.
///
/// # Errors
/// [`Invalid`]: close the connection without an answer.
pub(crate) fn parse(bytes: &[u8]) -> Result<Header, Invalid> {
    for (signature, read) in [(SIGNATURE_1, version_1 as fn(&[u8]) -> Result<Header, Invalid>), (SIGNATURE_2, version_2)] {
        if bytes.starts_with(signature) {
            return read(bytes);
        }
        if signature.starts_with(bytes) {
            return Ok(Header::Partial);
        }
    }
    Ok(Header::Absent)
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`
fn version_1(bytes: &[u8]) -> Result<Header, Invalid> {
    let start = bytes.get(..bytes.len().min(MAX_1)).unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', start) else {
        return if bytes.len() < MAX_1 { Ok(Header::Partial) } else { Err(Invalid::TooLong) };
    };
    let line = start.get(SIGNATURE_1.len()..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Invalid::Syntax)?;
    let line = std::str::from_utf8(line).map_err(|_| Invalid::Syntax)?;
    let complete = |source| Ok(Header::Complete { length: end + 1, source });
    let (family, rest) = line.split_once(' ').unwrap_or((line, ""));
    if family == "UNKNOWN" {
        return complete(None);
    }
    let mut words = rest.split(' ');
    let mut word = || words.next().ok_or(Invalid::Syntax);
    let (source, destination, source_port, destination_port) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Invalid::Syntax);
    }
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse().ok().map(IpAddr::V4),
            "TCP6" => text.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    // The destination must be well-formed, too, though nobody asks for it.
    let (source, _) = (address(source).ok_or(Invalid::Syntax)?, address(destination).ok_or(Invalid::Syntax)?);
    let (source_port, _) = (port(source_port)?, port(destination_port)?);
    complete(Some(SocketAddr::new(source, source_port)))
}

/// Digits without a sign or leading zeros.
fn port(text: &str) -> Result<u16, Invalid> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Invalid::Syntax)
}

/// ```text
/// signature (12) │ version, command (1) │ family, transport (1) │ length (2) │ addresses │ extensions: type (1), length (2), value
/// ```
fn version_2(bytes: &[u8]) -> Result<Header, Invalid> {
    const FIXED: usize = 16;
    // What is wrong is refused as soon as it is seen: the rest of it may never come.
    let at = |place: usize| bytes.get(place).copied();
    let local = match at(12) {
        None => return Ok(Header::Partial),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(Invalid::Syntax),
    };
    let addresses = match at(13) {
        None => return Ok(Header::Partial),
        // Not specified.
        Some(0x00) => 0,
        Some(0x11) => 12,
        Some(0x21) => 36,
        // Unix sockets: they have no address that means anything here.
        Some(0x31) => 216,
        Some(_) if local => 0,
        Some(_) => return Err(Invalid::Transport),
    };
    let (Some(high), Some(low)) = (at(14), at(15)) else { return Ok(Header::Partial) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX {
        return Err(Invalid::TooLong);
    }
    if !local && length < FIXED + addresses {
        return Err(Invalid::Syntax);
    }
    let Some(body) = bytes.get(FIXED..length) else { return Ok(Header::Partial) };
    if local {
        // Whatever else it says is to be ignored (section 2.2).
        return Ok(Header::Complete { length, source: None });
    }
    let (addresses, extensions) = body.split_at_checked(addresses).ok_or(Invalid::Syntax)?;
    skip(extensions)?;
    let source = match addresses.len() {
        12 => Some(SocketAddr::new(Ipv4Addr::from_bits(number(addresses, 0)?).into(), number(addresses, 8)?)),
        36 => Some(SocketAddr::new(Ipv6Addr::from_bits(number(addresses, 0)?).into(), number(addresses, 32)?)),
        _ => None,
    };
    Ok(Header::Complete { length, source })
}

/// Extensions must fill their space exactly; what they say is not used.
fn skip(mut rest: &[u8]) -> Result<(), Invalid> {
    while let [_, high, low, after @ ..] = rest {
        rest = after.get(usize::from(u16::from_be_bytes([*high, *low]))..).ok_or(Invalid::Syntax)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(Invalid::Syntax) }
}

/// The big-endian number at `from`.
fn number<T: TryFrom<u128>>(bytes: &[u8], from: usize) -> Result<T, Invalid> {
    let part = bytes.get(from..from + size_of::<T>()).ok_or(Invalid::Syntax)?;
    let value = part.iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
    T::try_from(value).map_err(|_| Invalid::Syntax)
}

// With its path, since the fuzz targets take this file in from elsewhere.
#[cfg(test)]
#[path = "proxy_protocol/tests.rs"]
mod tests;
