use super::*;

fn complete(length: usize, source: Option<&str>) -> Result<Header, Invalid> {
    Ok(Header::Complete { length, source: source.map(|text| text.parse().expect("an address")) })
}

/// A header of version 2 with what follows the signature.
fn two(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE_2.to_vec();
    bytes.extend([command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 1, 0xbb];

#[test]
fn version_1_is_read() {
    for (line, source) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", Some("192.0.2.1:56324")),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Some("0.0.0.0:0")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", Some("[2001:db8::1]:1")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 whatever it is\r\n", None),
    ] {
        let bytes = format!("{line}GET / HTTP/1.1\r\n\r\n");
        assert_eq!(parse(bytes.as_bytes()), complete(line.len(), source), "{line}");
        for length in 0..line.len() {
            assert_eq!(parse(&line.as_bytes()[..length]), Ok(Header::Partial), "{length} bytes of {line}");
        }
    }
}

#[test]
fn version_1_is_read_strictly() {
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 5\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 443\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY \r\n",
        "PROXY TCP4\x00192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(Invalid::Syntax), "{line:?}");
    }
    assert_eq!(parse(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat()), Err(Invalid::TooLong));
}

#[test]
fn version_2_is_read() {
    let mut v6 = [0; 36];
    v6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().expect("an address").octets());
    v6[32..34].copy_from_slice(&7u16.to_be_bytes());
    let extended = [V4.as_slice(), &[0x04, 0, 3, 1, 2, 3, 0xea, 0, 0]].concat();
    for (bytes, source) in [
        (two(0x21, 0x11, &V4), Some("192.0.2.1:56324")),
        (two(0x21, 0x11, &extended), Some("192.0.2.1:56324")),
        (two(0x21, 0x21, &v6), Some("[2001:db8::1]:7")),
        (two(0x21, 0x00, &[]), None),
        (two(0x21, 0x31, &[0; 216]), None),
        (two(0x20, 0x00, &[]), None),
        (two(0x20, 0x11, &V4), None),
        (two(0x20, 0x99, b"anything"), None),
    ] {
        let length = bytes.len();
        let whole = [&bytes, b"GET".as_slice()].concat();
        assert_eq!(parse(&whole), complete(length, source), "{bytes:x?}");
        for length in 0..length {
            assert_eq!(parse(&bytes[..length]), Ok(Header::Partial), "{length} bytes of {bytes:x?}");
        }
    }
}

#[test]
fn version_2_is_read_strictly() {
    let overflowing = [V4.as_slice(), &[0x04, 0xff, 0xff, 1]].concat();
    let cut = [V4.as_slice(), &[0x04, 0]].concat();
    for (bytes, why) in [
        (two(0x11, 0x11, &V4), Invalid::Syntax),
        (two(0x22, 0x11, &V4), Invalid::Syntax),
        (two(0x21, 0x12, &V4), Invalid::Transport),
        (two(0x21, 0x41, &V4), Invalid::Transport),
        (two(0x21, 0x11, &V4[..11]), Invalid::Syntax),
        (two(0x21, 0x21, &V4), Invalid::Syntax),
        (two(0x21, 0x11, &overflowing), Invalid::Syntax),
        (two(0x21, 0x11, &cut), Invalid::Syntax),
        (two(0x21, 0x11, &[0; MAX]), Invalid::TooLong),
    ] {
        assert_eq!(parse(&bytes), Err(why), "{:x?}", &bytes[12..bytes.len().min(40)]);
    }
}

#[test]
fn what_is_no_header_is_seen_at_once() {
    for text in [b"GET / HTTP/1.1\r\n".as_slice(), b"PRI * HTTP/2.0", b"POST", b"\x16\x03\x01", b"\r\n\r\nGET", b"PROXYX"] {
        assert_eq!(parse(text), Ok(Header::Absent), "{text:?}");
    }
    assert_eq!(parse(b""), Ok(Header::Partial));
}

#[test]
fn nothing_makes_it_panic() {
    // Every byte changed to some others, and cut at every place.
    for whole in [two(0x21, 0x11, &[V4.as_slice(), &[4, 0, 1, 9]].concat()), b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec()] {
        for at in 0..whole.len() {
            for byte in [0, 1, b' ', b'0', 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                for length in 0..=changed.len() {
                    let _ = parse(&changed[..length]);
                }
            }
        }
    }
}
