//! The path normaliser. Promised: what comes out goes through unchanged and without a redirect, is ASCII and absolute, has no dot segment,
//! backslash, control character, fragment or query, and (where they are merged) no two slashes in a row; and reading it once more as an
//! obliging origin would finds no dot segment or slash that was hidden.

use weir_route::path::{EscapedSlashes, Options, normalise};

pub(crate) fn path(data: &[u8]) {
    use EscapedSlashes::{Keep, Reject, Unescape, UnescapeAndRedirect};
    for escaped_slashes in [Keep, Reject, Unescape, UnescapeAndRedirect] {
        for merge_slashes in [false, true] {
            let options = Options { merge_slashes, escaped_slashes };
            let Ok(once) = normalise(data, &options) else { continue };
            assert!(once.path.starts_with('/'), "{}", once.path);
            let plain = |byte: u8| (0x21..0x7f).contains(&byte) && !b"\\#?".contains(&byte);
            assert!(once.path.bytes().all(plain), "{:?}", once.path);
            assert!(!merge_slashes || !once.path.contains("//"), "{}", once.path);
            assert!(once.path.split('/').all(|segment| !is_dots(segment.split(';').next().unwrap_or_default())), "{}", once.path);
            let again = normalise(once.path.as_bytes(), &options).expect("what is normal is a path");
            assert_eq!((&again.path, again.redirect), (&once.path, false), "not settled");
            let decoded = decode(&once.path);
            assert!(!decoded.contains(&0), "NUL in {}", once.path);
            if escaped_slashes != Keep {
                let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| b"/\\".contains(byte)).count();
                assert_eq!(slashes(&decoded), slashes(once.path.as_bytes()), "hidden slashes in {}", once.path);
                let hidden = decoded.split(|byte| *byte == b'/').any(|segment| {
                    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
                    is_dots(&String::from_utf8_lossy(name))
                });
                assert!(!hidden, "hidden dot segments in {}", once.path);
            }
        }
    }
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

fn decode(path: &str) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        let escape = after.get(..2).filter(|_| *byte == b'%').and_then(|it| u8::from_str_radix(std::str::from_utf8(it).ok()?, 16).ok());
        decoded.push(escape.unwrap_or(*byte));
        rest = if escape.is_some() { &after[2..] } else { after };
    }
    decoded
}
