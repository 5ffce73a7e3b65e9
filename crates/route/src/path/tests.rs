use super::*;

const EVERY: [EscapedSlashes; 4] =
    [EscapedSlashes::Keep, EscapedSlashes::Reject, EscapedSlashes::Unescape, EscapedSlashes::UnescapeAndRedirect];

fn keep(raw: &str) -> Result<String, BadPath> {
    normalise(raw.as_bytes(), &Options { merge_slashes: false, escaped_slashes: EscapedSlashes::Keep }).map(|it| it.path.into_owned())
}

#[test]
fn a_normal_path_is_borrowed() {
    for path in ["/", "/a/b", "/a/b/", "/.well-known/x", "/a..b/...", "/a;v=1/b", "/a,b:c@d&e=f+g$h!i*j'k(l)", "/..a/.b"] {
        let normal = normalise(path.as_bytes(), &Options::default()).expect(path);
        assert!(matches!(normal.path, Cow::Borrowed(it) if it == path), "{path}: {normal:?}");
    }
}

#[test]
fn escapes_and_dot_segments() {
    for (raw, path) in [
        ("/%61%2D%2E%5f%7e", "/a-._~"),
        ("/%c3%a9%20%2c", "/%C3%A9%20%2C"),
        ("/%2525", "/%2525"),
        ("/%252e%252e/", "/%252e%252e/"),
        ("/a%2fb%5cc", "/a%2Fb%5Cc"),
        ("/a\\b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/.%2E/b", "/b"),
        ("/a\\..\\b", "/b"),
        ("/a//../b", "/a/b"),
        ("/a//b", "/a//b"),
        ("/a/...;x", "/a/...;x"),
    ] {
        assert_eq!(keep(raw).as_deref(), Ok(path), "{raw}");
    }
    let raw = "/caf\u{e9}";
    assert_eq!(keep(raw).as_deref(), Ok("/caf%C3%A9"));
    let not_utf8 = normalise(b"/\xff", &Options::default()).expect("escaped");
    assert_eq!(not_utf8.path, "/%FF");
}

#[test]
fn slashes_are_merged_after_dot_segments() {
    for (raw, path) in [("//", "/"), ("/a//b///", "/a/b/"), ("/a//../b", "/a/b"), ("//a", "/a"), ("/a/\\b", "/a/b")] {
        let normal = normalise(raw.as_bytes(), &Options::default()).expect(raw);
        assert_eq!((&*normal.path, normal.redirect), (path, false), "{raw}");
    }
}

#[test]
fn escaped_slashes_do_what_they_are_told() {
    let run = |escaped_slashes| {
        normalise(b"/a%2F..%5cb", &Options { merge_slashes: true, escaped_slashes }).map(|it| (it.path.into_owned(), it.redirect))
    };
    let [keep, reject, unescape, redirect] = EVERY.map(run);
    assert_eq!(keep, Ok(("/a%2F..%5Cb".into(), false)));
    assert_eq!(reject, Err(BadPath::EscapedSlash));
    assert_eq!(unescape, Ok(("/b".into(), false)));
    assert_eq!(redirect, Ok(("/b".into(), true)));
}

#[test]
fn what_is_no_path_is_refused() {
    for (raw, error) in [
        ("", BadPath::NotAbsolute),
        ("*", BadPath::NotAbsolute),
        ("a/b", BadPath::NotAbsolute),
        ("/%", BadPath::Escape),
        ("/%4", BadPath::Escape),
        ("/%zz", BadPath::Escape),
        ("/%+1", BadPath::Escape),
        ("/%%32%35", BadPath::Escape),
        ("/a%00b", BadPath::Character),
        ("/a\0b", BadPath::Character),
        ("/a b", BadPath::Character),
        ("/a\tb", BadPath::Character),
        ("/a\r\nb", BadPath::Character),
        ("/a\x7f", BadPath::Character),
        ("/a#b", BadPath::Character),
        ("/a?b", BadPath::Character),
        ("/..;x/a", BadPath::DotParameter),
        ("/a/.;/b", BadPath::DotParameter),
        ("/a/%2e%2e;", BadPath::DotParameter),
        ("/a/..%3bx", BadPath::DotParameter),
    ] {
        assert_eq!(normalise(raw.as_bytes(), &Options::default()).map(|it| it.path.into_owned()), Err(error), "{raw:?}");
    }
}

/// All texts of up to six of the pieces that matter: what comes out is normal, absolute and without dot segments, and stays as it is.
#[test]
fn what_comes_out_goes_through_unchanged() {
    const PIECES: [&str; 10] = ["/", ".", "a", "%2e", "%2F", "%5C", "\\", ";", "%25", "%e9"];
    let mut number = 0_usize;
    while number < PIECES.len().pow(6) {
        let mut raw = "/".to_owned();
        let mut rest = number;
        while rest > 0 {
            raw.push_str(PIECES[rest % PIECES.len()]);
            rest /= PIECES.len();
        }
        for escaped_slashes in EVERY {
            let options = Options { merge_slashes: number.is_multiple_of(2), escaped_slashes };
            let Ok(once) = normalise(raw.as_bytes(), &options) else { continue };
            assert!(once.path.split('/').all(|segment| segment != "." && segment != ".."), "{raw} became {}", once.path);
            let twice = normalise(once.path.as_bytes(), &options).expect("normal");
            assert!(matches!(&twice.path, Cow::Borrowed(_)) || once.path.contains('%'), "{raw}: {}", once.path);
            assert_eq!((&once.path, false), (&twice.path, twice.redirect), "{raw}");
        }
        number += 37;
    }
}
