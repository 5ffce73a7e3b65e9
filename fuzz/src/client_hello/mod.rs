//! Reading a ClientHello: the data plane's file is taken in as it is. Promised: the pieces that it comes in do not matter; no byte is lost;
//! the name is one that DNS can have, in lower case, and the one that a reader written apart finds in the bytes.

#[allow(dead_code, reason = "the data plane uses the rest")]
#[path = "../../../crates/proxy/src/tls/hello.rs"]
mod hello;

use hello::{Greeting, Heard, MAX_HELLO};

/// What the data plane reads at once.
const READ: usize = 2048;

pub(crate) fn client_hello(data: &[u8]) {
    let at_once = hear(data, READ);
    for piece in [1, 5, 64, 1000] {
        match (&at_once, hear(data, piece)) {
            (Ok(Some(whole)), Ok(Some(part))) => {
                assert_eq!(whole.server_name, part.server_name, "in pieces of {piece}");
                assert!(data.starts_with(&part.bytes), "bytes were lost");
            }
            // A hello may be whole before what is wrong comes, where fewer bytes are read at once.
            (Err(()), Ok(Some(part))) => assert!(part.bytes.len() < data.len(), "in pieces of {piece}"),
            (Ok(None), Ok(None)) | (Err(()), Err(())) => {}
            (whole, part) => panic!("in pieces of {piece}: {part:?}, at once: {whole:?}"),
        }
    }
    let Ok(Some(Heard { server_name, bytes })) = at_once else { return };
    assert!(data.starts_with(&bytes) && bytes.len() <= MAX_HELLO);
    let theirs = server_names(&bytes).expect("a reader of its own finds a hello, too");
    match server_name {
        Some(name) => {
            let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
            assert!(name.len() <= 255 && name.bytes().all(fine), "{name:?}");
            let theirs: Vec<_> = theirs.iter().map(|it| it.to_ascii_lowercase()).collect();
            // A dot at a name's end means nothing (RFC 6066 has none).
            let found = theirs.iter().any(|it| it.strip_suffix(b".").unwrap_or(it) == name.as_bytes() || it == name.as_bytes());
            assert!(found && theirs.len() == 1, "{name}, not one of {theirs:?}");
        }
        // An address is no name.
        None => {
            assert!(theirs.iter().all(|it| std::str::from_utf8(it).is_ok_and(|it| it.parse::<std::net::IpAddr>().is_ok())), "{theirs:?}")
        }
    }
}

fn hear(data: &[u8], piece: usize) -> Result<Option<Heard>, ()> {
    let mut greeting = Greeting::new();
    for part in data.chunks(piece) {
        match greeting.hear(part) {
            Ok(None) => {}
            Ok(Some(heard)) => return Ok(Some(heard)),
            Err(_) => return Err(()),
        }
    }
    Ok(None)
}

/// The host names in the first hello of `bytes` (RFC 8446, section 4.1.2; RFC 6066, section 3); none if it is no hello.
fn server_names(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut message = Vec::new();
    let mut records = Reader(bytes);
    while message.len() < 4 || message.len() < 4 + Reader(&message[1..]).number(3)? {
        let kind = records.number(1)?;
        records.number(2)?;
        let part = records.block(2)?;
        if kind == 22 {
            message.extend_from_slice(part);
        }
    }
    let mut rest = Reader(&message);
    if rest.number(1)? != 1 {
        return None;
    }
    let mut hello = Reader(rest.block(3)?);
    hello.take(2 + 32)?;
    for size in [1, 2, 1] {
        hello.block(size)?;
    }
    let mut names = Vec::new();
    if hello.0.is_empty() {
        return Some(names);
    }
    let mut extensions = Reader(hello.block(2)?);
    while !extensions.0.is_empty() {
        let (kind, body) = (extensions.number(2)?, extensions.block(2)?);
        if kind == 0 {
            let mut list = Reader(Reader(body).block(2)?);
            while !list.0.is_empty() {
                // Nobody knows how long names of another kind are; there are none.
                if list.number(1)? != 0 {
                    break;
                }
                names.push(list.block(2)?.to_vec());
            }
        }
    }
    Some(names)
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
}
