//! Answers on their way to the wire.

use std::collections::HashSet;
use std::convert::Infallible;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde::Serialize;

use super::accept::Form;
use crate::proto;
use crate::status::ApiError;

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is sent as it comes.
pub(crate) fn body_stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(stream.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync()
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    code: u16,
    content_type: &'static str,
    body: Bytes,
    headers: Vec<(&'static str, String)>,
    warnings: Vec<String>,
}

impl Reply {
    pub(crate) fn json(code: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(mut body) => {
                body.push(b'\n');
                Self::bytes(code, "application/json", body)
            }
            Err(error) => Self::bytes(500, "text/plain", error.to_string()),
        }
    }

    /// JSON that is written already, in the form that was negotiated.
    pub(crate) fn written(code: u16, form: Form, mut json: Vec<u8>) -> Self {
        if form == Form::Json {
            json.push(b'\n');
            return Self::bytes(code, "application/json", json);
        }
        match serde_json::from_slice::<serde_json::Value>(&json) {
            Ok(value) => Self::object(code, form, &value),
            Err(error) => Self::from(ApiError::internal(format!("JSON: {error}"))),
        }
    }

    /// In the form that was negotiated.
    pub(crate) fn object(code: u16, form: Form, value: &impl Serialize) -> Self {
        match form {
            Form::Json => Self::json(code, value),
            Form::Yaml => Self::yaml(code, value),
            Form::Protobuf => {
                let value = serde_json::to_value(value).map_err(|error| error.to_string());
                match value.and_then(|value| proto::encode(&value)) {
                    Ok(body) => Self::bytes(code, proto::MEDIA_TYPE, body),
                    Err(error) => Self::from(ApiError::internal(format!("protobuf: {error}"))),
                }
            }
        }
    }

    fn yaml(code: u16, value: &impl Serialize) -> Self {
        // Keys are in the order of the alphabet, as where YAML is made from JSON's maps.
        let sorted = serde_json::to_value(value).map(|mut value| {
            value.sort_all_objects();
            value
        });
        match sorted.map_err(|error| error.to_string()).and_then(|value| serde_saphyr::to_string(&value).map_err(|error| error.to_string()))
        {
            Ok(text) => Self::bytes(code, "application/yaml", text),
            Err(error) => Self::from(ApiError::internal(format!("YAML: {error}"))),
        }
    }

    /// A failure, in the form that was asked for.
    pub(crate) fn failure(error: ApiError, form: Form) -> Self {
        let reply = Self::object(error.code, form, &error.body());
        match error.retry_after {
            Some(seconds) => reply.header("retry-after", seconds.to_string()),
            None => reply,
        }
    }

    pub(crate) fn text(code: u16, body: impl Into<Bytes>) -> Self {
        Self::bytes(code, "text/plain; charset=utf-8", body)
    }

    pub(crate) fn bytes(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { code, content_type, body: body.into(), headers: Vec::new(), warnings: Vec::new() }
    }

    /// Replaces a header, `cache-control` included.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn warnings(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Full::new(self.body).boxed_unsync());
        *response.status_mut() = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        for warning in bounded(self.warnings) {
            // A quoted string: RFC 9110 5.6.4.
            let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}

/// Each warning once. When they are long together, only so much of each as kube-apiserver tells, and only the first.
fn bounded(warnings: Vec<String>) -> Vec<String> {
    const LONGEST: usize = 4 * 1024;
    const LONGEST_OF_MANY: usize = 256;
    let mut seen = HashSet::new();
    let mut warnings: Vec<String> = warnings.into_iter().filter(|warning| seen.insert(warning.clone())).collect();
    if warnings.iter().map(|warning| warning.chars().count()).sum::<usize>() <= LONGEST {
        return warnings;
    }
    let mut left = LONGEST;
    warnings.retain_mut(|warning| {
        let told = left > 0;
        if let Some((end, _)) = warning.char_indices().nth(LONGEST_OF_MANY) {
            warning.truncate(end);
        }
        left = left.saturating_sub(warning.chars().count());
        told
    });
    warnings
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        Self::failure(error, Form::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_no_longer_than_clients_read() {
        let few = vec!["a".to_owned(), "b".to_owned(), "a".to_owned()];
        assert_eq!(bounded(few), ["a", "b"]);
        let many: Vec<String> = (0..1000).map(|index| format!("{index}{}", "x".repeat(1000))).collect();
        let told = bounded(many);
        assert_eq!((told.len(), told[0].len()), (16, 256));
    }
}
