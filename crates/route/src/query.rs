//! Query parameters, decoded as forms are: `%41` is `A`, `+` is a space. The first one of a name counts.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::candidate::Value;

/// Whether every parameter of `expected` is in `query` with its value.
pub(crate) fn holds(query: &str, expected: &[(Arc<str>, Value)]) -> bool {
    expected.iter().all(|(name, value)| first(query, name).is_some_and(|raw| value_holds(raw, value)))
}

/// The first parameter called `name`, not decoded.
fn first<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(key).eq(name.bytes()).then_some(value)
    })
}

fn value_holds(raw: &str, value: &Value) -> bool {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return value.holds(raw.as_bytes());
    }
    match value {
        Value::Exact(expected) => decoded(raw).eq(expected.bytes()),
        Value::Regex(_) => value.holds(&decoded(raw).collect::<SmallVec<[u8; 256]>>()),
    }
}

/// `raw` decoded; an escape that is none stays as it is.
fn decoded(raw: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = raw.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest.get(1..)?),
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
