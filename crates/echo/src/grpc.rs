//! The gRPC mode of `echo-basic`: `Echo` and `EchoTwo` answer what they saw, everything else is unimplemented.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prost::Message;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{self, Handler, Peer, Protocols, Reset};
use crate::tls::Facts;
use crate::{Identity, Log, Tls};

/// The service's name, with the path's first slash.
const SERVICE: &str = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/";
/// Ours are empty messages; a larger request is refused.
const LARGEST: usize = 64 * 1024;

const OK: &str = "0";
const RESOURCE_EXHAUSTED: &str = "8";
const UNIMPLEMENTED: &str = "12";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EchoRequest {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EchoResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) assertions: Option<Assertions>,
    #[prost(message, optional, tag = "2")]
    request: Option<EchoRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Assertions {
    #[prost(string, tag = "1")]
    pub(crate) fully_qualified_method: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<Header>,
    #[prost(string, tag = "3")]
    pub(crate) authority: String,
    #[prost(message, optional, tag = "4")]
    pub(crate) context: Option<Context>,
    #[prost(message, optional, tag = "5")]
    tls_assertions: Option<TlsAssertions>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Header {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Context {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    ingress: String,
    #[prost(string, tag = "3")]
    service_name: String,
    #[prost(string, tag = "4")]
    pub(crate) pod: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TlsAssertions {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, tag = "2")]
    negotiated_protocol: String,
    #[prost(string, tag = "3")]
    server_name: String,
    #[prost(string, tag = "4")]
    cipher_suite: String,
    #[prost(string, repeated, tag = "5")]
    peer_certificates: Vec<String>,
}

/// Serves gRPC on `listener` until `stop`. Reflection, which the image has, is not served.
pub async fn serve_grpc(listener: TcpListener, tls: Option<Tls>, identity: Identity, log: Log, stop: CancellationToken) {
    crate::announce(&listener, if tls.is_some() { "grpc over tls" } else { "grpc" }, &log);
    server::serve(listener, Protocols::Http1And2, tls, Arc::new(Echo { identity, log }), stop).await;
}

struct Echo {
    identity: Identity,
    log: Log,
}

impl Handler for Echo {
    async fn handle(&self, mut request: Request<Incoming>, peer: &Peer) -> Result<Response<server::Body>, Reset> {
        let mut received = 0;
        while let Some(Ok(frame)) = request.body_mut().frame().await {
            received += frame.data_ref().map_or(0, Bytes::len);
            if received > LARGEST {
                return Ok(answer(None, RESOURCE_EXHAUSTED, "the request is too large"));
            }
        }
        let path = request.uri().path();
        if !matches!(path.strip_prefix(SERVICE), Some("Echo" | "EchoTwo")) {
            return Ok(answer(None, UNIMPLEMENTED, "unknown method"));
        }
        (self.log)(&format!("Echoing back request made to {path} to client ({})", peer.address));
        Ok(answer(Some(&self.echo(&request, peer)), OK, ""))
    }
}

impl Echo {
    fn echo(&self, request: &Request<Incoming>, peer: &Peer) -> EchoResponse {
        let authority = request.uri().authority().map(|it| it.as_str().to_owned());
        let host = || request.headers().get(HOST).map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let authority = authority.or_else(host).unwrap_or_default();
        let header = |key: &str, value: &[u8]| Header { key: key.to_owned(), value: String::from_utf8_lossy(value).into_owned() };
        let mut headers = vec![header(":authority", authority.as_bytes())];
        headers.extend(request.headers().iter().map(|(name, value)| header(name.as_str(), value.as_bytes())));
        let Identity { namespace, pod, service, ingress, .. } = self.identity.clone();
        EchoResponse {
            assertions: Some(Assertions {
                fully_qualified_method: request.uri().path().to_owned(),
                headers,
                authority,
                context: Some(Context { namespace, ingress, service_name: service, pod }),
                tls_assertions: peer.tls.as_deref().map(assertions),
            }),
            request: Some(EchoRequest {}),
        }
    }
}

fn assertions(facts: &Facts) -> TlsAssertions {
    TlsAssertions {
        version: facts.version.to_owned(),
        negotiated_protocol: facts.negotiated_protocol.clone(),
        server_name: facts.server_name.clone(),
        cipher_suite: facts.cipher_suite.clone(),
        peer_certificates: facts.peer_certificates.clone(),
    }
}

/// A unary answer: a message at the most, then the status as trailers.
fn answer(message: Option<&EchoResponse>, status: &'static str, reason: &'static str) -> Response<server::Body> {
    let mut bytes = BytesMut::new();
    if let Some(message) = message {
        // Not compressed; then the length.
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
        bytes.extend_from_slice(&message.encode_to_vec());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    if !reason.is_empty() {
        trailers.insert("grpc-message", HeaderValue::from_static(reason));
    }
    let body = Full::new(bytes.freeze()).with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
