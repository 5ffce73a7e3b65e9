//! An origin that answers everything with the same few bytes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 64\r\n\r\n\
0123456789012345678901234567890123456789012345678901234567890123";

/// Serves on every loopback address, a thread for each connection; gives the port.
pub(crate) fn serve() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

/// Requests have no body here, so each ends with its head.
fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let mut tail = [0; 4];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        for &byte in &buffer[..read] {
            tail.rotate_left(1);
            tail[3] = byte;
            if tail == *b"\r\n\r\n" && stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}
