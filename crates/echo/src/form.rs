//! A request's parameters: those of its query, and of its body when that is a form.

use bytes::Buf;
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

/// How much of a form is read, in bytes; Go's limit.
const MAX_FORM: usize = 10 << 20;

/// Parameters, decoded, in their order.
#[derive(Debug, Default)]
pub(crate) struct Form {
    body: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl Form {
    /// Reads the parameters of `request`; its body only if it is a form.
    pub(crate) async fn read(request: &mut Request<Incoming>) -> Self {
        let mut form = Self { body: Vec::new(), query: parse(request.uri().query().unwrap_or_default()) };
        let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if has_body && media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let body = Limited::new(request.body_mut(), MAX_FORM).collect().await.map(|body| body.aggregate());
            if let Ok(mut body) = body {
                form.body = parse(&String::from_utf8_lossy(&body.copy_to_bytes(body.remaining())));
            }
        }
        form
    }

    /// The first value of `name`, of the body if it has one.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        first(&self.body, name).or_else(|| self.query_value(name))
    }

    /// The first value of `name` in the query.
    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn parse(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    // Go leaves out what has a semicolon.
    let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (decode(name), decode(value))).collect()
}
