//! Whose request it is: the connection's peer, or the one that proxies in front of us, which are trusted, name in a header.

use std::net::IpAddr;

use weir_model::{ClientIp, IpRange};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// The client's address.
    At(IpAddr),
    /// The header that must say it does not: the request is to be refused with 403.
    Unknown,
}

/// Finds the client of a request that came from `peer`.
///
/// `forwarded`: the values of all `x-forwarded-for` fields as received, in order. `named`: the values of the header that
/// [`ClientIp::Header`] names.
pub(crate) fn find<'h>(
    rule: &ClientIp,
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'h [u8]>,
    mut named: impl Iterator<Item = &'h [u8]>,
) -> Client {
    match rule {
        ClientIp::Peer | ClientIp::Direct => Client::At(peer),
        ClientIp::TrustedHops { hops, .. } => {
            let place = usize::try_from(*hops).unwrap_or(usize::MAX).saturating_sub(1);
            let entry = from_the_right(forwarded).nth(place);
            Client::At(entry.and_then(address).unwrap_or(peer))
        }
        ClientIp::TrustedRanges { ranges, .. } => Client::At(behind(ranges, peer, forwarded)),
        // Two of them would be two answers to one question.
        ClientIp::Header { fail_closed, .. } => match (named.next().and_then(address), named.next()) {
            (Some(found), None) => Client::At(found),
            _ if *fail_closed => Client::Unknown,
            _ => Client::At(peer),
        },
    }
}

/// Whether the peer's address is appended to `x-forwarded-for`.
pub(crate) fn appends(rule: &ClientIp) -> bool {
    match rule {
        ClientIp::Peer | ClientIp::Header { .. } => true,
        ClientIp::Direct => false,
        ClientIp::TrustedHops { append, .. } | ClientIp::TrustedRanges { append, .. } => *append,
    }
}

/// The first address from the right that is in none of `ranges`; the leftmost when all are. An entry that is no address makes all of them
/// worthless: somebody who is trusted has written it.
fn behind<'h>(ranges: &[IpRange], peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'h [u8]>) -> IpAddr {
    let trusted = |address: IpAddr| ranges.iter().any(|range| range.contains(address));
    let mut found = peer;
    for entry in from_the_right(forwarded) {
        if !trusted(found) {
            return found;
        }
        match address(entry) {
            Some(next) => found = next,
            None => return peer,
        }
    }
    found
}

/// The elements of comma-separated lists, the last one first.
fn from_the_right<'h>(values: impl DoubleEndedIterator<Item = &'h [u8]>) -> impl Iterator<Item = &'h [u8]> {
    values.rev().flat_map(|value| value.rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty())
}

/// An address and nothing else: no port, no brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
