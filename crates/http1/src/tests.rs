use proptest::prelude::*;

use super::*;

fn request(text: &str) -> Result<(Request, Parsed), Invalid> {
    let mut request = Request::default();
    request.parse(text.as_bytes()).map(|parsed| (request, parsed))
}

fn complete(text: &str) -> Request {
    let (request, parsed) = request(text).expect(text);
    assert_eq!(parsed, Parsed::Complete(text.len()), "{text:?}");
    request
}

#[test]
fn a_plain_request_is_read() {
    let text = "GET /a?b=c HTTP/1.1\r\nHost: A.test:80\r\nX-Empty:\r\nUser-Agent:  me \t\r\n\r\n";
    let request = complete(text);
    let bytes = text.as_bytes();
    assert_eq!(request.method.bytes(bytes), b"GET");
    assert_eq!(request.target.bytes(bytes), b"/a?b=c");
    assert_eq!(request.authority.bytes(bytes), b"A.test:80");
    assert_eq!(request.body, Body::None);
    let values: Vec<_> = request.fields.iter().map(|field| field.value.bytes(bytes)).collect();
    assert_eq!(values, [b"A.test:80".as_slice(), b"", b"me"]);
    assert_eq!(request.fields[2].known, Known::UserAgent);
}

#[test]
fn a_head_may_arrive_byte_by_byte() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    for end in 0..text.len() {
        assert_eq!(request(&text[..end]).expect("a prefix").1, Parsed::Partial, "{end}");
    }
    assert_eq!(complete(text).body, Body::Length(3));
}

#[test]
fn what_is_ambiguous_is_refused() {
    let cases: &[(&str, Invalid)] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Invalid::LengthAndChunked),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Invalid::ContentLength),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", Invalid::ContentLength),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", Invalid::ContentLength),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Invalid::ContentLength),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", Invalid::ContentLength),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", Invalid::ContentLength),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Invalid::TransferEncoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Invalid::TransferEncoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Invalid::TransferEncoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", Invalid::TransferEncoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", Invalid::TransferEncoding),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Invalid::LineEnding),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Invalid::LineEnding),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Invalid::LineEnding),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::LineEnding),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::LineEnding),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Invalid::Syntax),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Invalid::Syntax),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Invalid::Syntax),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Invalid::Syntax),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Invalid::Syntax),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Invalid::Syntax),
        ("GET / HTTP/1.1\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: b\r\nauthorization: b\r\n\r\n", Invalid::Credentials),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: a:\r\n\r\n", Invalid::Host),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Invalid::Host),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::Host),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::Target),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::Target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::Target),
        ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::Target),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Invalid::Connect),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", Invalid::LowVersion),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Invalid::Version),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Invalid::Version),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", Invalid::Version),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Invalid::Syntax),
    ];
    for (text, expected) in cases {
        assert_eq!(request(text).map(|_| ()), Err(*expected), "{text:?}");
    }
    for text in [
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(request(text).is_err(), "{text:?}");
    }
}

#[test]
fn forms_of_targets() {
    assert_eq!(complete("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").form, Form::Asterisk);
    let text = "GET HTTP://A:81/x?y HTTP/1.1\r\nHost: a:81\r\n\r\n";
    let absolute = complete(text);
    assert_eq!((absolute.form, absolute.target.bytes(text.as_bytes())), (Form::Absolute, b"/x?y".as_slice()));
    assert!(complete("\r\nGET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").fields.len() == 1, "one empty line may come first");
}

#[test]
fn connection_options_are_read() {
    let read = complete(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, , Upgrade\r\nUpgrade: websocket\r\nConnection: X-Mine, close\r\n\r\n",
    );
    assert_eq!(read.connection, Connection { close: true, upgrade: true, names: true });
    assert!(!complete("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n").connection.upgrade);
    assert!(Connection::names(b"a, X-Mine", b"x-mine") && !Connection::names(b"x-mine-too", b"x-mine"));
}

#[test]
fn heads_have_bounds() {
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS));
    assert_eq!(request(&many).map(|_| ()), Err(Invalid::TooLarge));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(MAX_HEAD));
    assert_eq!(request(&large).map(|_| ()), Err(Invalid::TooLarge));
    assert_eq!(request(&large[..MAX_HEAD + 1]).map(|_| ()), Err(Invalid::TooLarge));
    assert_eq!(request(&large[..MAX_HEAD]).expect("not yet too large").1, Parsed::Partial);
}

fn response(text: &str, to_head: bool) -> Result<Response, Invalid> {
    let mut response = Response::default();
    assert_eq!(response.parse(text.as_bytes(), to_head)?, Parsed::Complete(text.len()));
    Ok(response)
}

#[test]
fn the_framing_of_answers() {
    for (text, to_head, body, close) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Body::Length(5), false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Body::None, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, Body::None, false),
        ("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n", false, Body::Chunked, false),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, Body::None, false),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, Body::None, false),
        ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false, Body::None, false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false, Body::UntilClose, true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false, Body::Length(1), true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\n", false, Body::Length(1), false),
    ] {
        let read = response(text, to_head).expect(text);
        assert_eq!((read.body, read.connection.close), (body, close), "{text:?}");
    }
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Invalid::LengthAndChunked),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Invalid::LengthAndChunked),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Invalid::ContentLength),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Invalid::TransferEncoding),
        ("HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", Invalid::LineEnding),
        ("HTTP/1.1 200 OK\r\nX : 5\r\n\r\n", Invalid::Syntax),
        ("HTTP/1.1 200 OK\r\nX: 5\r\n 6\r\n\r\n", Invalid::Syntax),
        ("HTTP/1.1 099 OK\r\n\r\n", Invalid::Syntax),
    ] {
        assert_eq!(response(text, false).map(|_| ()), Err(expected), "{text:?}");
    }
    let text = "HTTP/1.1 200 Fine with me\r\n\r\n";
    assert_eq!(response(text, false).expect("read").reason.bytes(text.as_bytes()), b"Fine with me");
}

/// Decodes `body` in pieces of `piece` bytes: the data, and what was left.
fn decode(body: &[u8], piece: usize) -> Result<(Vec<u8>, bool, usize), Invalid> {
    let (mut decoder, mut data, mut consumed) = (Chunked::default(), Vec::new(), 0);
    for part in body.chunks(piece) {
        let mut part = part.to_vec();
        let decoded = decoder.decode(&mut part)?;
        data.extend_from_slice(&part[..decoded.data]);
        consumed += decoded.consumed;
        if decoded.done {
            break;
        }
        assert_eq!(decoded.consumed, part.len());
    }
    Ok((data, decoder.is_done(), consumed))
}

#[test]
fn chunked_bodies_are_taken_apart() {
    let body = b"5;a=\"b;\\\" \";c;d_=e\r\nhello\r\n00A\r\n, worlds!!\r\n0\r\nTrailer: x\r\n\r\nGET /";
    for piece in 1..=body.len() {
        assert_eq!(decode(body, piece), Ok((b"hello, worlds!!".to_vec(), true, body.len() - 5)), "{piece}");
    }
}

#[test]
fn trailers_are_kept_where_they_are_wanted() {
    let body = b"3\r\nabc\r\n0\r\nX-Sum: 1\r\ny:\r\n\r\nGET /";
    for piece in [1, 5, 100] {
        let (mut decoder, mut data) = (Chunked::keeping_trailers(), Vec::new());
        for part in body.chunks(piece) {
            assert_eq!(decoder.take_trailers(), b"", "not before the end");
            let mut part = part.to_vec();
            let decoded = decoder.decode(&mut part).expect("a body");
            data.extend_from_slice(&part[..decoded.data]);
            if decoded.done {
                break;
            }
        }
        assert_eq!(data, b"abc");
        let lines = decoder.take_trailers();
        let fields: Vec<_> = trailer::fields(&lines).collect();
        assert_eq!(fields, [(b"X-Sum".as_slice(), b"1".as_slice()), (b"y", b"")]);
    }
    let mut decoder = Chunked::default();
    assert!(decoder.decode(&mut body.to_vec()).expect("a body").done);
    assert_eq!(decoder.take_trailers(), b"");
}

#[test]
fn broken_chunks_are_refused() {
    for body in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\n",
        "1\ra",
        "1;\n",
        "1;\r\n",
        "1;;a\r\n",
        "1; a\r\n",
        "1;a =b\r\n",
        "1;a=\r\n",
        "1;a=b c\r\n",
        "1;a=\"b\r\n",
        "1;a=\"b\\\r\n",
        "1;a=\"b\"c\r\n",
        "1;=b\r\n",
        "1;a\0\r\n",
        "1;a\rb",
        ";\r\n",
        "1\r\nab\r\n",
        "1\r\na\n",
        "1\r\na\rb",
        "1\r\na0\r\n",
        "1000000000000000\r\n",
        "1\r\na\r\n\r\n",
    ] {
        assert_eq!(decode(body.as_bytes(), 64), Err(Invalid::Chunk), "{body:?}");
    }
    for body in [
        "0\r\n\n",
        "0\r\n: x\r\n",
        "0\r\na b: x\r\n",
        "0\r\n a: x\r\n",
        "0\r\na: x\n",
        "0\r\na\r\n",
        "0\r\na: \0\r\n",
        "0\r\na_b: x\r\n",
        "0\r\n\rx",
    ] {
        assert_eq!(decode(body.as_bytes(), 64), Err(Invalid::Trailer), "{body:?}");
    }
    assert_eq!(decode(format!("1;{}", "a".repeat(5000)).as_bytes(), 9000), Err(Invalid::Chunk));
    assert_eq!(decode(format!("0\r\na: {}", "a".repeat(9000)).as_bytes(), 9000), Err(Invalid::Trailer));
}

#[test]
fn sizes_are_written_as_read() {
    for size in [0usize, 1, 15, 16, 255, 4096, 0xabcdef] {
        let mut out = Vec::new();
        write::chunk_size(&mut out, size);
        assert_eq!(String::from_utf8(out).expect("text"), format!("{size:x}\r\n"));
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 0..8), piece in 1usize..100) {
        let mut body = Vec::new();
        for part in &parts {
            write::chunk_size(&mut body, part.len());
            body.extend_from_slice(part);
            body.extend_from_slice(write::CHUNK_END);
        }
        body.extend_from_slice(write::LAST_CHUNK);
        let length = body.len();
        prop_assert_eq!(decode(&body, piece), Ok((parts.concat(), true, length)));
    }

    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
        let _ = Request::default().parse(&bytes);
        let _ = Response::default().parse(&bytes, false);
        let _ = decode(&bytes, piece);
    }
}

#[test]
fn underscores_are_told() {
    assert!(complete("GET / HTTP/1.1\r\nHost: a\r\nX_Y: b\r\n\r\n").underscores);
    assert!(!complete("GET /a_b HTTP/1.1\r\nHost: a\r\nX-Y: b_c\r\n\r\n").underscores);
}

#[test]
fn http_1_0_is_read_where_it_is_allowed() {
    let old = |text: &str| {
        let mut request = Request { allow_old: true, ..Request::default() };
        request.parse(text.as_bytes()).map(|_| request)
    };
    let request = old("GET / HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\n\r\n").expect("no host is needed");
    assert!(request.is_old && request.connection.close && !request.connection.upgrade);
    assert_eq!(request.authority, Span::default());
    let text = "GET http://a.test/x HTTP/1.0\r\n\r\n";
    assert_eq!(old(text).expect("an absolute target").authority.bytes(text.as_bytes()), b"a.test");
    assert_eq!(old("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\n").expect("a body").body, Body::Length(3));
    let chunked = old("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(chunked.err(), Some(Invalid::TransferEncoding));
    assert_eq!(old("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").err(), Some(Invalid::Host));
    assert!(!old("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the new one").is_old);
}
