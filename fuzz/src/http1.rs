//! HTTP/1 heads. Promised: what is complete stays complete and the same whatever follows it; what is refused is not complete anywhere before;
//! no bare CR, LF or NUL gets through; and what is accepted, `httparse` and hyper read in the same way, body included.

use weir_http1::{Body, Chunked, Field, Form, Invalid, Parsed, Request, Response};

use crate::hyper_peer::{self, Message};

pub(crate) fn request(data: &[u8]) {
    let parse = |bytes: &[u8]| {
        let mut request = Request::default();
        request.parse(bytes).map(|parsed| (request, parsed))
    };
    let outcome = parse(data);
    prefixes_agree(data, &outcome.as_ref().map(|(_, parsed)| *parsed).map_err(|error| *error), |part| {
        parse(part).map(|(_, parsed)| parsed)
    });
    let Ok((request, Parsed::Complete(length))) = outcome else { return };
    let (head, rest) = data.split_at(length);
    let (alone, parsed) = parse(head).expect("what is complete is complete alone");
    assert_eq!((format!("{alone:?}"), parsed), (format!("{request:?}"), Parsed::Complete(length)), "it depends on what follows");
    assert_clean(head);
    agrees_with_httparse_request(head, &request);

    let text = |span: &weir_http1::Span| String::from_utf8_lossy(span.bytes(head)).into_owned();
    let hosts = request.fields.iter().filter(|field| field.name.bytes(head).eq_ignore_ascii_case(b"host")).count();
    assert_eq!(hosts, 1, "hosts");
    assert!(weir_http1::authority(request.authority.bytes(head)).is_some(), "{:?}", text(&request.authority));
    assert_framing(head, &request.fields, request.body);

    let target = if request.form == Form::Absolute && text(&request.target).is_empty() { "/".to_owned() } else { text(&request.target) };
    let Some(theirs) = hyper_peer::request(data) else {
        // Its URI type takes fewer characters than a path may be sent with; they are passed on or escaped by the normaliser.
        let raw = httparse_target(head);
        assert!(raw.parse::<http::Uri>().is_err(), "hyper refuses what we take");
        return;
    };
    assert_eq!(theirs.first, format!("{} {target}", text(&request.method)), "method and target");
    agrees(&theirs, head, &request.fields, request.body, rest);
}

pub(crate) fn response(data: &[u8]) {
    for to_head in [false, true] {
        let parse = |bytes: &[u8]| {
            let mut response = Response::default();
            response.parse(bytes, to_head).map(|parsed| (response, parsed))
        };
        let outcome = parse(data);
        prefixes_agree(data, &outcome.as_ref().map(|(_, parsed)| *parsed).map_err(|error| *error), |part| {
            parse(part).map(|(_, parsed)| parsed)
        });
        let Ok((response, Parsed::Complete(length))) = outcome else { continue };
        let (head, rest) = data.split_at(length);
        assert_clean(head);
        agrees_with_httparse_response(head, &response);
        assert!((100..=999).contains(&response.status));
        if to_head || response.status < 200 || matches!(response.status, 204 | 304) {
            assert_eq!(response.body, Body::None);
        } else if response.body != Body::UntilClose {
            assert_framing(head, &response.fields, response.body);
        }
        if response.status < 200 {
            continue;
        }
        let theirs = hyper_peer::response(data, to_head).expect("hyper refuses what we take");
        assert_eq!(theirs.first, response.status.to_string());
        agrees(&theirs, head, &response.fields, response.body, rest);
    }
}

/// Whatever comes first of a message must not be understood as another one.
fn prefixes_agree(data: &[u8], whole: &Result<Parsed, Invalid>, parse: impl Fn(&[u8]) -> Result<Parsed, Invalid>) {
    let step = data.len().div_ceil(24).max(1);
    for end in (0..data.len()).step_by(step) {
        let part = parse(&data[..end]);
        match (whole, part) {
            (Ok(Parsed::Complete(length)), Ok(Parsed::Partial)) if end < *length => {}
            (Ok(Parsed::Complete(length)), Ok(Parsed::Complete(same))) if end >= *length && same == *length => {}
            (Ok(Parsed::Partial), Ok(Parsed::Partial)) => {}
            (Err(_), Ok(Parsed::Partial) | Err(_)) => {}
            (whole, part) => panic!("the first {end} bytes are {part:?}, all {} are {whole:?}", data.len()),
        }
    }
}

/// CR and LF only together, and no NUL.
fn assert_clean(head: &[u8]) {
    assert!(head.ends_with(b"\r\n\r\n"), "no empty line at the end");
    for (at, byte) in head.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(head.get(at + 1), Some(&b'\n'), "bare CR"),
            b'\n' => assert_eq!(at.checked_sub(1).map(|before| head[before]), Some(b'\r'), "bare LF"),
            0 => panic!("NUL"),
            _ => {}
        }
    }
}

/// One framing, and the one that the fields say.
fn assert_framing(head: &[u8], fields: &[Field], body: Body) {
    let values = |name: &str| {
        let named = fields.iter().filter(|field| field.name.bytes(head).eq_ignore_ascii_case(name.as_bytes()));
        named.map(|field| String::from_utf8_lossy(field.value.bytes(head)).into_owned()).collect::<Vec<_>>()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => assert_eq!(body, Body::None),
        ([length], []) => {
            let length: u64 = length.parse().expect("a number");
            assert_eq!(body, if length == 0 { Body::None } else { Body::Length(length) });
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case("chunked"), "{coding}");
            assert_eq!(body, Body::Chunked);
        }
        both => panic!("framed by {both:?}"),
    }
}

fn agrees_with_httparse_request(head: &[u8], request: &Request) {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut theirs = httparse::Request::new(&mut headers);
    let parsed = theirs.parse(head).expect("httparse takes it");
    assert_eq!(parsed, httparse::Status::Complete(head.len()));
    assert_eq!(theirs.version, Some(1));
    assert_eq!(theirs.method.unwrap_or_default().as_bytes(), request.method.bytes(head));
    let ours: Vec<_> = request.fields.iter().map(|field| (field.name.bytes(head), field.value.bytes(head))).collect();
    let theirs: Vec<_> = theirs.headers.iter().map(|header| (header.name.as_bytes(), header.value.trim_ascii())).collect();
    assert_eq!(ours, theirs);
}

fn agrees_with_httparse_response(head: &[u8], response: &Response) {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut theirs = httparse::Response::new(&mut headers);
    let parsed = theirs.parse(head).expect("httparse takes it");
    assert_eq!((parsed, theirs.code), (httparse::Status::Complete(head.len()), Some(response.status)));
    let ours: Vec<_> = response.fields.iter().map(|field| (field.name.bytes(head), field.value.bytes(head))).collect();
    let theirs: Vec<_> = theirs.headers.iter().map(|header| (header.name.as_bytes(), header.value.trim_ascii())).collect();
    assert_eq!(ours, theirs);
}

fn httparse_target(head: &[u8]) -> String {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut theirs = httparse::Request::new(&mut headers);
    let _ = theirs.parse(head);
    theirs.path.unwrap_or_default().to_owned()
}

fn agrees(theirs: &Message, head: &[u8], fields: &[Field], body: Body, rest: &[u8]) {
    let mut ours: Vec<_> = fields
        .iter()
        .map(|field| (String::from_utf8_lossy(field.name.bytes(head)).to_ascii_lowercase(), field.value.bytes(head).to_vec()))
        .collect();
    ours.sort();
    assert_eq!(ours, theirs.fields, "fields");
    let ours = match body {
        Body::None => Some(Vec::new()),
        Body::UntilClose => Some(rest.to_vec()),
        Body::Length(length) => usize::try_from(length).ok().and_then(|length| rest.get(..length)).map(<[u8]>::to_vec),
        Body::Chunked => {
            let mut rest = rest.to_vec();
            // Where we refuse, hyper may not: it passes over some of an extension's and a trailer's grammar.
            let Ok(decoded) = Chunked::default().decode(&mut rest) else { return };
            decoded.done.then(|| rest[..decoded.data].to_vec())
        }
    };
    assert_eq!(ours, theirs.body, "body");
}
