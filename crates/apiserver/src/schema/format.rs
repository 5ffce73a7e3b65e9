//! String formats, as far as Kubernetes checks them in CRDs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use base64::Engine;
use regex::Regex;

use super::Type;

/// Whether a schema's `format` means anything for its type; others are ignored.
pub(super) fn applies(format: &str, kind: Type) -> bool {
    match kind {
        Type::Integer => matches!(format, "int32" | "int64"),
        Type::Number => matches!(format, "float" | "double"),
        Type::String | Type::Any => matches!(
            format,
            "uri"
                | "email"
                | "hostname"
                | "ipv4"
                | "ipv6"
                | "cidr"
                | "mac"
                | "uuid"
                | "uuid3"
                | "uuid4"
                | "uuid5"
                | "hexcolor"
                | "byte"
                | "password"
                | "date"
                | "duration"
                | "datetime"
                | "date-time"
                | "k8s-short-name"
                | "k8s-long-name"
        ),
        _ => false,
    }
}

/// Whether a schema may have this `format` without a word of warning. Some are known and hold for everything.
pub(crate) fn is_known(format: &str, kind: &str) -> bool {
    const NAMES: [&str; 26] = [
        "bsonobjectid",
        "uri",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "cidr",
        "mac",
        "uuid",
        "uuid3",
        "uuid4",
        "uuid5",
        "isbn",
        "isbn10",
        "isbn13",
        "creditcard",
        "ssn",
        "hexcolor",
        "rgbcolor",
        "byte",
        "password",
        "date",
        "duration",
        "datetime",
        "k8sshortname",
        "k8slongname",
    ];
    match kind {
        "" | "string" => NAMES.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// Whether `value` is of this format. A format that [`applies`] does not list holds for every value.
pub(super) fn holds(format: &str, value: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(value),
        "date" => value.len() == 10 && value.parse::<jiff::civil::Date>().is_ok(),
        "duration" => is_duration(value),
        "ipv4" => value.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => value.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(value),
        "mac" => is_mac(value),
        "uuid" => is_uuid(value, None),
        "uuid3" => is_uuid(value, Some('3')),
        "uuid4" => is_uuid(value, Some('4')),
        "uuid5" => is_uuid(value, Some('5')),
        "hexcolor" => {
            let digits = value.strip_prefix('#').unwrap_or(value);
            matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        }
        "byte" => base64::engine::general_purpose::STANDARD.decode(value).is_ok(),
        "uri" => value.starts_with('/') || value.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some()),
        "email" => value.rsplit_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !value.contains(['\n', ' '])),
        "hostname" => is_hostname(value),
        "k8s-short-name" => is_label(value),
        "k8s-long-name" => value.len() <= 253 && value.split('.').all(|label| is_chars(label, usize::MAX)),
        _ => true,
    }
}

/// As strfmt has it: one label, or several of which the last is of at least two letters. Letters and symbols are any that Unicode has.
fn is_hostname(value: &str) -> bool {
    static HOSTNAME: OnceLock<Option<Regex>> = OnceLock::new();
    let pattern = HOSTNAME.get_or_init(|| {
        let inner = r"[0-9\p{S}\p{L}]";
        let alone = format!("{inner}(?:-?{inner}{{0,62}})?");
        let dotted = format!(r"(?:{inner}(?:[-0-9\p{{S}}\p{{L}}]{{0,61}}{inner})?\.)+\p{{L}}{{2,63}}");
        Regex::new(&format!("^(?:{alone}|{dotted})$")).ok()
    });
    value.len() <= 255 && value.split('.').all(|label| label.len() <= 63) && pattern.as_ref().is_some_and(|p| p.is_match(value))
}

fn is_label(value: &str) -> bool {
    is_chars(value, 63)
}

fn is_chars(value: &str, longest: usize) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = value.as_bytes();
    bytes.len() <= longest
        && bytes.iter().all(|b| plain(*b) || *b == b'-')
        && bytes.first().is_some_and(|b| plain(*b))
        && bytes.last().is_some_and(|b| plain(*b))
}

/// RFC 3339 with the leniency of strfmt: a lower-case `t`, and an offset without a colon.
fn is_date_time(value: &str) -> bool {
    value.len() >= 20 && value.as_bytes().get(10).is_some_and(|b| matches!(b, b'T' | b't')) && value.parse::<jiff::Timestamp>().is_ok()
}

/// Go's `time.ParseDuration`, or a Scala duration: a number and a unit word.
fn is_duration(value: &str) -> bool {
    let rest = value.strip_prefix(['-', '+']).unwrap_or(value);
    if rest == "0" {
        return true;
    }
    let mut rest = rest.trim_start();
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let (number, unit) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        if number.parse::<f64>().is_err() {
            return false;
        }
        let unit = unit.trim_start();
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (name, after) = unit.split_at(end);
        let known = [
            "h", "m", "s", "ms", "us", "µs", "ns", "d", "w", "hour", "hours", "minute", "minutes", "min", "sec", "second", "seconds",
            "day", "days", "week", "weeks", "milli", "micro", "nano",
        ];
        if !known.contains(&name.trim_end()) {
            return false;
        }
        rest = after;
    }
    true
}

fn is_cidr(value: &str) -> bool {
    let Some((address, length)) = value.split_once('/') else { return false };
    let longest = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    !length.starts_with('+') && length.parse::<u8>().is_ok_and(|length| length <= longest)
}

fn is_mac(value: &str) -> bool {
    let separator = if value.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = value.split(separator).collect();
    matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_uuid(value: &str, version: Option<char>) -> bool {
    let digits: String = value.chars().filter(|c| *c != '-').collect();
    digits.len() == 32
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
        && value
            .split('-')
            .map(str::len)
            .scan(0, |end, len| {
                *end += len;
                Some(*end)
            })
            .all(|end| matches!(end, 8 | 12 | 16 | 20 | 32))
}
