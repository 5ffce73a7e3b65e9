//! Chunked bodies. Promised: the pieces that they come in do not matter, and a reader made of the grammar alone (RFC 9112, section 7.1) finds
//! the same data, the same end, and the same faults.

use weir_http1::{Chunked, trailer};

/// Data, bytes taken, whether it is whole.
type Read = (Vec<u8>, usize, bool);

pub(crate) fn chunked(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(decode(data, piece), whole, "in pieces of {piece}");
    }
    trailers_are_those_that_came(data, &whole);
    match (whole, by_grammar(data)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Err(()), Err(())) => {}
        // The grammar alone knows no bounds.
        (Err(()), Ok(_)) if data.len() > 4096 || has_long_size(data) => {}
        (ours, theirs) => panic!("we say {ours:?}, the grammar {theirs:?}"),
    }
    if let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(data)
        && let Ok((found, ..)) = decode(data, data.len().max(1))
    {
        assert!(u64::try_from(found.len()).is_ok_and(|found| found <= size) || size < found.len() as u64, "{size}");
    }
}

/// Keeping them changes nothing else, and they are the bytes before the empty line at the end.
fn trailers_are_those_that_came(data: &[u8], whole: &Result<Read, ()>) {
    let (mut decoder, mut bytes) = (Chunked::keeping_trailers(), data.to_vec());
    let decoded = decoder.decode(&mut bytes).map_err(drop);
    let kept = decoder.take_trailers();
    match (whole, decoded) {
        (Ok((out, used, done)), Ok(decoded)) => {
            assert_eq!((&bytes[..decoded.data], decoded.consumed, decoded.done), (out.as_slice(), *used, *done));
            assert!(*done || kept.is_empty());
            assert!(!done || data[..*used].ends_with(&[kept.as_slice(), b"\r\n"].concat()), "other trailers");
            let fields: Vec<_> = trailer::fields(&kept).collect();
            assert_eq!(fields.len(), kept.iter().filter(|byte| **byte == b'\n').count(), "a line without a field");
            assert!(fields.iter().all(|(name, value)| !name.is_empty() && !value.iter().any(|byte| b"\r\n\0".contains(byte))));
        }
        (Err(()), Err(())) => {}
        (whole, kept) => panic!("{whole:?} without them, {kept:?} with them"),
    }
}

fn decode(data: &[u8], piece: usize) -> Result<Read, ()> {
    let (mut decoder, mut out, mut used) = (Chunked::default(), Vec::new(), 0);
    for part in data.chunks(piece) {
        let mut part = part.to_vec();
        let decoded = decoder.decode(&mut part).map_err(drop)?;
        assert!(decoded.data <= decoded.consumed && decoded.consumed <= part.len());
        out.extend_from_slice(&part[..decoded.data]);
        used += decoded.consumed;
        assert_eq!(decoded.done, decoder.is_done());
        if decoded.done {
            break;
        }
        assert_eq!(decoded.consumed, part.len(), "it stopped before the end");
    }
    Ok((out, used, decoder.is_done()))
}

fn has_long_size(data: &[u8]) -> bool {
    data.split(|byte| !byte.is_ascii_hexdigit()).any(|digits| digits.len() > 15)
}

/// `Err`: it breaks the grammar. The expressions say what of a line may have come so far.
fn by_grammar(data: &[u8]) -> Result<Read, ()> {
    const TOKEN: &str = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]";
    let quoted = r#""(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"#;
    let size = format!(r#"(?-u)^[0-9A-Fa-f]+(?:;{TOKEN}+(?:=(?:{TOKEN}+|{quoted}"))?)*\r\n"#);
    let size_so_far = format!(
        r#"(?-u)^(?:[0-9A-Fa-f]+(?:;{TOKEN}+(?:=(?:{TOKEN}+|{quoted}"))?)*(?:\r|;(?:{TOKEN}+(?:=(?:{TOKEN}*|{quoted}(?:"|\\)?))?)?)?)?$"#
    );
    let name = TOKEN.replace('_', "");
    let trailer = format!(r"(?-u)^{name}+:[\t\x20-\x7e\x80-\xff]*\r\n");
    let trailer_so_far = format!(r"(?-u)^(?:\r|{name}+(?::[\t\x20-\x7e\x80-\xff]*\r?)?)?$");
    thread_local!(static COMPILED: std::cell::OnceCell<[regex::bytes::Regex; 4]> = const { std::cell::OnceCell::new() });
    let compile = || [&size, &size_so_far, &trailer, &trailer_so_far].map(|text| regex::bytes::Regex::new(text).expect("an expression"));
    COMPILED.with(|compiled| {
        let [size, size_so_far, trailer, trailer_so_far] = compiled.get_or_init(compile);
        let (mut out, mut at) = (Vec::new(), 0);
        loop {
            let Some(line) = size.find(&data[at..]) else {
                return if size_so_far.is_match(&data[at..]) { Ok((out, data.len(), false)) } else { Err(()) };
            };
            let digits: String = line.as_bytes().iter().take_while(|byte| byte.is_ascii_hexdigit()).map(|byte| char::from(*byte)).collect();
            let length = usize::from_str_radix(&digits, 16).unwrap_or(usize::MAX);
            at += line.len();
            if length == 0 {
                break;
            }
            let here = length.min(data.len() - at);
            out.extend_from_slice(&data[at..at + here]);
            at += here;
            match &data[at..] {
                [b'\r', b'\n', ..] if here == length => at += 2,
                [] | [b'\r'] => return Ok((out, data.len(), false)),
                _ => return Err(()),
            }
        }
        while let Some(line) = trailer.find(&data[at..]) {
            at += line.len();
        }
        match &data[at..] {
            [b'\r', b'\n', ..] => Ok((out, at + 2, true)),
            rest if trailer_so_far.is_match(rest) => Ok((out, data.len(), false)),
            _ => Err(()),
        }
    })
}
