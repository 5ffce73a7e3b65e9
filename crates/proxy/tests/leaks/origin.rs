//! A backend that behaves as its requests' paths say, well or badly.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// What the backend has sent of `/big` when it cannot go on.
pub const BIG: usize = 200_000;

const SWITCHING: &[u8] = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi";
const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TOO_LARGE: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";

/// How an answer goes on once it is written.
enum Then {
    Again,
    /// Close, by FIN or by RST.
    End,
    Reset,
    /// Send no more, but go on reading.
    Shut,
}

/// The backend and its gate: requests for `/gate` are answered when that is open.
pub async fn start() -> (SocketAddr, watch::Sender<bool>) {
    let listener = listen();
    let (address, (gate, opened)) = (listener.local_addr().unwrap(), watch::channel(false));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, opened.clone()));
        }
    });
    (address, gate)
}

/// Listens with room for a whole crowd: where the kernel's queue overflows, it drops the last step of a handshake, and the one who connected
/// waits for many seconds.
pub fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(4096).unwrap()
}

/// Where nobody listens.
pub async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn serve(mut stream: TcpStream, mut gate: watch::Receiver<bool>) {
    let mut read = Vec::new();
    loop {
        while !read.windows(4).any(|window| window == b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut read).await, Ok(count) if count > 0) {
                return;
            }
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        read.clear();
        let path = text.split(' ').nth(1).unwrap_or_default();
        if path == "/gate" && gate.wait_for(|open| *open).await.is_err() {
            return;
        }
        let big;
        let (answer, then): (&[u8], _) = match path {
            "/reset" => (b"", Then::Reset),
            "/half" => (HALF, Then::End),
            "/half-reset" => (HALF, Then::Reset),
            "/half-shut" => (HALF, Then::Shut),
            "/half-stalled" => (HALF, Then::Again),
            "/shut" => (OK, Then::Shut),
            "/stalled" => (b"", Then::Again),
            "/early" => (TOO_LARGE, Then::End),
            "/chat" => (SWITCHING, Then::Again),
            "/chat-end" => (SWITCHING, Then::End),
            "/chat-reset" => (SWITCHING, Then::Reset),
            "/chat-shut" => (SWITCHING, Then::Shut),
            "/big" => {
                big = [format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n").as_bytes(), &vec![b'x'; BIG]].concat();
                (&*big, Then::Again)
            }
            _ => (OK, Then::Again),
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
        match then {
            Then::Again => {}
            Then::End => return,
            Then::Reset => return drop(stream.set_zero_linger()),
            Then::Shut => drop(stream.shutdown().await),
        }
    }
}
