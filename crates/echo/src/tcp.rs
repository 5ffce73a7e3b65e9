//! The TCP mode of `echo-basic`: the server speaks first, then answers line by line.

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{self, Stream};
use crate::tls::Facts;
use crate::{Identity, Log, Tls, json};

/// A longer line ends the connection.
const LINE: u64 = 4096;

/// Serves the line protocol on `listener` until `stop`: `PING` is answered `PONG`, `IS_TLS` whether it is, `TEST` with what the backend knows.
pub async fn serve_tcp(listener: TcpListener, tls: Option<Tls>, identity: Identity, log: Log, stop: CancellationToken) {
    crate::announce(&listener, if tls.is_some() { "tls" } else { "tcp" }, &log);
    let stopped = stop.clone();
    let connection = move |stream, address| {
        let (tls, identity, stop, log) = (tls.clone(), identity.clone(), stopped.clone(), log.clone());
        async move {
            log(&format!("Accepted connection from {address}"));
            let ended = async {
                match tls {
                    None => converse(stream, &identity, None).await,
                    Some(tls) => {
                        let (stream, facts) = tls.accept(stream).await?;
                        converse(stream, &identity, Some(&facts)).await
                    }
                }
            };
            tokio::select! {
                ended = ended => if let Err(error) = ended { tracing::debug!(%address, %error, "connection ended") },
                () = stop.cancelled() => {}
            }
        }
    };
    server::accept(listener, connection, stop).await;
}

/// Fields in the order of the image's JSON.
#[derive(Serialize)]
struct Answer<'a> {
    namespace: &'a str,
    ingress: &'a str,
    service: &'a str,
    pod: &'a str,
    tcpport: &'a str,
    tlsport: &'a str,
    #[serde(rename = "isTLS")]
    is_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Agreed<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Agreed<'a> {
    version: &'static str,
    server_name: &'a str,
    negotiated_protocol: &'a str,
    curves: &'a str,
    cipher_suite: &'a str,
}

async fn converse(stream: impl Stream, identity: &Identity, tls: Option<&Facts>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"Gateway API Test TCP Server\n").await?;
    stream.flush().await?;
    let mut line = String::new();
    loop {
        line.clear();
        if (&mut stream).take(LINE).read_line(&mut line).await? == 0 || !line.ends_with('\n') {
            return stream.shutdown().await;
        }
        let answer = match line.trim() {
            "PING" => "PONG".to_owned(),
            "IS_TLS" => tls.is_some().to_string(),
            "TEST" => json::compact(&answer(identity, tls)),
            _ => continue,
        };
        stream.write_all(format!("{answer}\n").as_bytes()).await?;
        stream.flush().await?;
    }
}

fn answer<'a>(identity: &'a Identity, tls: Option<&'a Facts>) -> Answer<'a> {
    Answer {
        namespace: &identity.namespace,
        ingress: &identity.ingress,
        service: &identity.service,
        pod: &identity.pod,
        tcpport: &identity.http_port,
        tlsport: &identity.tls_port,
        is_tls: tls.is_some(),
        tls: tls.map(|tls| Agreed {
            version: if tls.version == "TLSv1.2" { "TLS 1.2" } else { "TLS 1.3" },
            server_name: &tls.server_name,
            negotiated_protocol: &tls.negotiated_protocol,
            curves: &tls.group,
            cipher_suite: &tls.cipher_suite,
        }),
    }
}
