//! What a ClientHello says of the software that made it, in the two forms that logs and filters know: JA3 and JA4.
//!
//! Written from their descriptions (`github.com/salesforce/ja3`, `github.com/FoxIO-LLC/ja4`). Only ever read from hellos that rustls could
//! read; one that cannot be read here has no fingerprint.

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::Sha256;
use weir_model::Fingerprint;

/// The fingerprints of a client that the listener wants.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprints {
    ja3: Option<String>,
    ja4: Option<String>,
}

/// What stands for them in the values of header filters, by Envoy's names.
const PLACES: [(&str, Fingerprint); 2] = [("%TLS_JA3_FINGERPRINT%", Fingerprint::Ja3), ("%TLS_JA4_FINGERPRINT%", Fingerprint::Ja4)];

impl Fingerprints {
    /// Those of `wanted` of the hello that begins `bytes`; none if none is wanted.
    pub(crate) fn of(bytes: &[u8], wanted: &[Fingerprint]) -> Option<Self> {
        let hello = (!wanted.is_empty()).then(|| Hello::read(bytes)).flatten()?;
        let of = |kind, make: fn(&Hello) -> String| wanted.contains(&kind).then(|| make(&hello));
        Some(Self { ja3: of(Fingerprint::Ja3, Hello::ja3), ja4: of(Fingerprint::Ja4, Hello::ja4) })
    }

    fn get(&self, kind: Fingerprint) -> &str {
        let text = match kind {
            Fingerprint::Ja3 => &self.ja3,
            Fingerprint::Ja4 => &self.ja4,
        };
        text.as_deref().unwrap_or_default()
    }
}

/// The value of a configured header with fingerprints put in their places; empty: there is nothing to say, and the header is left out. None:
/// it has no places.
pub(crate) fn filled(value: &str, prints: Option<&Fingerprints>) -> Option<String> {
    // Most values have none, and this is asked for each request.
    let has_place = |(place, _): &(&str, Fingerprint)| value.contains(place);
    if !value.contains("%TLS_JA") || !PLACES.iter().any(has_place) {
        return None;
    }
    let fill = |text: String, (place, kind): &(&str, Fingerprint)| text.replace(place, prints.map_or("", |it| it.get(*kind)));
    Some(PLACES.iter().fold(value.to_owned(), fill))
}

/// What fingerprints are made of: numbers in the hello's order, those that only keep servers tolerant (RFC 8701) left out.
#[derive(Debug, Default)]
struct Hello {
    version: u16,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    groups: Vec<u16>,
    point_formats: Vec<u8>,
    signatures: Vec<u16>,
    versions: Vec<u16>,
    protocol: Option<Vec<u8>>,
}

const SERVER_NAME: u16 = 0;
const GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURES: u16 = 13;
const PROTOCOLS: u16 = 16;
const VERSIONS: u16 = 43;

impl Hello {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut message = Vec::new();
        let mut records = Reader(bytes);
        while Reader(message.get(1..).unwrap_or_default()).block(3).is_none() {
            let (kind, _version, part) = (records.number(1)?, records.number(2)?, records.block(2)?);
            if kind == 22 {
                message.extend_from_slice(part);
            }
        }
        let mut hello = Reader(Reader(message.get(1..)?).block(3)?);
        let version = u16::try_from(hello.number(2)?).ok()?;
        hello.take(32)?;
        hello.block(1)?;
        let mut this = Self { version, ciphers: Reader(hello.block(2)?).pairs(), ..Self::default() };
        hello.block(1)?;
        // Old clients have no extensions.
        let mut extensions = Reader(if hello.0.is_empty() { &[] } else { hello.block(2)? });
        while !extensions.0.is_empty() {
            let (kind, body) = (u16::try_from(extensions.number(2)?).ok()?, extensions.block(2)?);
            this.extension(kind, Reader(body))?;
        }
        Some(this)
    }

    fn extension(&mut self, kind: u16, mut body: Reader<'_>) -> Option<()> {
        match kind {
            _ if is_grease(kind) => return Some(()),
            GROUPS => self.groups = Reader(body.block(2)?).pairs(),
            POINT_FORMATS => self.point_formats = body.block(1)?.to_vec(),
            SIGNATURES => self.signatures = Reader(body.block(2)?).pairs(),
            VERSIONS => self.versions = Reader(body.block(1)?).pairs(),
            PROTOCOLS => self.protocol = Some(Reader(body.block(2)?).block(1)?.to_vec()),
            _ => {}
        }
        self.extensions.push(kind);
        Some(())
    }

    fn ja3(&self) -> String {
        let list = |numbers: &[u16]| joined(numbers.iter(), '-');
        let (ciphers, extensions, groups) = (list(&self.ciphers), list(&self.extensions), list(&self.groups));
        let text = format!("{},{ciphers},{extensions},{groups},{}", self.version, joined(self.point_formats.iter(), '-'));
        hex::encode(Md5::digest(text))
    }

    fn ja4(&self) -> String {
        let version = match self.versions.iter().max().unwrap_or(&self.version) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            _ => "00",
        };
        let name = if self.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
        let (ciphers, extensions) = (self.ciphers.len().min(99), self.extensions.len().min(99));
        let mut kinds: Vec<u16> = self.extensions.iter().copied().filter(|kind| ![SERVER_NAME, PROTOCOLS].contains(kind)).collect();
        kinds.sort_unstable();
        let mut sorted = self.ciphers.clone();
        sorted.sort_unstable();
        let mut rest = hexadecimal(&kinds);
        if !self.signatures.is_empty() {
            rest = format!("{rest}_{}", hexadecimal(&self.signatures));
        }
        let (first, last) = ends(self.protocol.as_deref().unwrap_or_default());
        let (of_ciphers, of_extensions) = (short(&hexadecimal(&sorted)), if kinds.is_empty() { short("") } else { short(&rest) });
        format!("t{version}{name}{ciphers:02}{extensions:02}{first}{last}_{of_ciphers}_{of_extensions}")
    }
}

/// The first and the last character of a protocol's name; of one that is not text, the digits of its bytes.
fn ends(protocol: &[u8]) -> (char, char) {
    let digits = |byte: u8| hex::encode([byte]);
    match (protocol.first(), protocol.last()) {
        (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => ((*first).into(), (*last).into()),
        (Some(first), Some(last)) => (digits(*first).chars().next().unwrap_or('0'), digits(*last).chars().nth(1).unwrap_or('0')),
        _ => ('0', '0'),
    }
}

fn short(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut digits = hex::encode(Sha256::digest(text));
    digits.truncate(12);
    digits
}

fn hexadecimal(numbers: &[u16]) -> String {
    joined(numbers.iter().map(|number| hex::encode(number.to_be_bytes())), ',')
}

fn joined(items: impl Iterator<Item = impl std::fmt::Display>, by: char) -> String {
    let mut out = String::new();
    for item in items {
        if !out.is_empty() {
            out.push(by);
        }
        // Writing into a String cannot fail.
        let _ = write!(out, "{item}");
    }
    out
}

/// Whether the number means nothing (RFC 8701).
fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, size: usize) -> Option<usize> {
        Some(self.take(size)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn block(&mut self, size: usize) -> Option<&'a [u8]> {
        let count = self.number(size)?;
        self.take(count)
    }

    /// All that is left as numbers of two bytes, without those that mean nothing.
    fn pairs(self) -> Vec<u16> {
        let (pairs, _) = self.0.as_chunks::<2>();
        pairs.iter().map(|pair| u16::from_be_bytes(*pair)).filter(|number| !is_grease(*number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a browser says it, with numbers that mean nothing among the others.
    fn browser() -> Hello {
        let extensions = [0, 23, 65281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43, 27, 17513, 21];
        Hello {
            version: 0x0303,
            ciphers: vec![4865, 4866, 4867, 49195, 49199, 49196, 49200, 52393, 52392, 49171, 49172, 156, 157, 47, 53],
            extensions: extensions.to_vec(),
            groups: vec![29, 23, 24],
            point_formats: vec![0],
            signatures: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            versions: vec![0x0304, 0x0303],
            protocol: Some(b"h2".to_vec()),
        }
    }

    #[test]
    fn a_browser_has_the_fingerprints_that_are_known_of_it() {
        // Chrome 102's, as public databases have them.
        assert_eq!(browser().ja3(), "cd08e31494f9531f560d64c695473da9");
        assert_eq!(browser().ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn what_is_missing_is_zeros() {
        let bare = Hello { version: 0x0303, ciphers: vec![0xc02f], ..Hello::default() };
        assert!(bare.ja4().starts_with("t12i010000_") && bare.ja4().ends_with("_000000000000"), "{}", bare.ja4());
        assert_eq!(ends(b"\xffx\x0a"), ('f', 'a'));
    }

    #[test]
    fn places_are_filled() {
        let prints = Fingerprints { ja3: Some("three".into()), ja4: None };
        assert_eq!(filled("plain 100%", Some(&prints)), None);
        assert_eq!(filled("a-%TLS_JA3_FINGERPRINT%.", Some(&prints)).as_deref(), Some("a-three."));
        assert_eq!(filled("%TLS_JA4_FINGERPRINT%", Some(&prints)).as_deref(), Some(""));
        assert_eq!(filled("%TLS_JA3_FINGERPRINT%", None).as_deref(), Some(""));
    }
}
