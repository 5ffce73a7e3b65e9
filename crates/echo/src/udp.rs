//! The UDP mode of `echo-basic`, and a stand-in for CoreDNS.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use simple_dns::{Packet, PacketFlag, RCODE};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::{Identity, Log, json};

/// The largest datagram that is read whole (the image's).
const DATAGRAM: usize = 1024;

/// Between attempts to read while the socket has an error.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// Fields in the order of the image's JSON.
#[derive(Serialize)]
struct Answer<'a> {
    request: &'a str,
    namespace: &'a str,
    ingress: &'a str,
    service: &'a str,
    pod: &'a str,
}

/// Answers each datagram with one of JSON until `stop`.
pub async fn serve_udp(socket: UdpSocket, identity: Identity, log: Log, stop: CancellationToken) {
    let port = socket.local_addr().map_or(0, |address| address.port());
    log(&format!("Starting server, listening on port {port} (udp)"));
    let Identity { namespace, pod, service, ingress, .. } = &identity;
    let answer = |datagram: &[u8], _| {
        let request = &*String::from_utf8_lossy(datagram);
        Some(json::compact(&Answer { request, namespace, ingress, service, pod }).into_bytes())
    };
    exchange(&socket, answer, stop).await;
}

/// Answers DNS queries until `stop`: every name exists and has no records, as behind CoreDNS' `whoami`, without its additional section.
pub async fn serve_dns(socket: UdpSocket, log: Log, stop: CancellationToken) {
    let port = socket.local_addr().map_or(0, |address| address.port());
    log(&format!(".:{port}"));
    let answer = |datagram: &[u8], peer: SocketAddr| {
        let query = Packet::parse(datagram).ok().filter(|query| !query.has_flags(PacketFlag::RESPONSE))?;
        let mut reply = query.into_reply();
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        *reply.rcode_mut() = RCODE::NoError;
        for question in &reply.questions {
            log(&format!("[INFO] {peer} - {} \"{:?} IN {}.\" NOERROR", reply.id(), question.qtype, question.qname));
        }
        reply.build_bytes_vec().ok()
    };
    exchange(&socket, answer, stop).await;
}

async fn exchange(socket: &UdpSocket, answer: impl Fn(&[u8], SocketAddr) -> Option<Vec<u8>>, stop: CancellationToken) {
    let mut datagram = [0; DATAGRAM];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut datagram) => received,
            () = stop.cancelled() => return,
        };
        let Ok((length, peer)) = received else {
            // It is about an earlier answer that nobody took; should it last, it must not keep the thread busy.
            tokio::time::sleep(AFTER_ERROR).await;
            continue;
        };
        if let Some(answer) = datagram.get(..length).and_then(|datagram| answer(datagram, peer)) {
            // As with all datagrams: it arrives or it does not.
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}
