use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
    (a.expect("connects"), b.expect("accepts").0)
}

/// Sends `input` through a pump and gives what comes out, how it ended, and what is left in the buffer.
async fn through(input: &[u8], body: Body, encode: bool) -> (Vec<u8>, Result<(), Broken>, Vec<u8>) {
    let ((mut client, mut from), (mut to, mut server)) = (pair().await, pair().await);
    let input = input.to_vec();
    let sender = tokio::spawn(async move {
        client.write_all(&input).await.expect("is read");
        client.shutdown().await.expect("closes");
        client
    });
    let receiver = tokio::spawn(async move {
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.expect("is written");
        all
    });
    let (mut pump, mut buffer, spares) = (Pump::default(), Buffer::new(), Spares::default());
    pump.reset(body, encode);
    pump.head.extend_from_slice(b"HEAD\r\n\r\n");
    let result = poll_fn(|cx| pump.poll(cx, &mut buffer, &spares, &mut from, &mut to)).await;
    drop(to);
    sender.await.expect("sends");
    (receiver.await.expect("receives"), result, buffer.filled().to_vec())
}

fn joined(body: &[u8]) -> Vec<u8> {
    [b"HEAD\r\n\r\n".as_slice(), body].concat()
}

#[tokio::test]
async fn bodies_are_put_into_our_framing() {
    let (out, result, rest) = through(b"helloGET /", Body::Length(5), false).await;
    assert!(result.is_ok());
    assert_eq!((out, rest), (joined(b"hello"), b"GET /".to_vec()));

    let (out, result, rest) = through(b"2;x\r\nhe\r\n3\r\nllo\r\n0\r\nT: x\r\n\r\nGET /", Body::Chunked, true).await;
    assert!(result.is_ok());
    assert_eq!((out, rest), (joined(b"5\r\nhello\r\n0\r\n\r\n"), b"GET /".to_vec()));

    let (out, result, _) = through(b"", Body::None, false).await;
    assert!(result.is_ok());
    assert_eq!(out, joined(b""));
}

#[tokio::test]
async fn a_large_body_of_unknown_length_is_chunked() {
    let input = vec![b'x'; 3 << 20];
    let (out, result, _) = through(&input, Body::UntilClose, true).await;
    assert!(result.is_ok());
    let mut framed = out[b"HEAD\r\n\r\n".len()..].to_vec();
    let decoded = Chunked::default().decode(&mut framed).expect("valid chunks");
    assert_eq!((decoded.data, decoded.done), (input.len(), true));
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let input: Vec<u8> = (0..3 << 20).map(|at| at as u8).collect();
    let (out, result, _) = through(&input, Body::Length(input.len() as u64), false).await;
    assert!(result.is_ok());
    assert!(out == joined(&input));
}

#[tokio::test]
async fn what_breaks_off_or_is_broken_fails() {
    assert!(matches!(through(b"hel", Body::Length(5), false).await.1, Err(Broken::Read)));
    assert!(matches!(through(b"5\r\nhel", Body::Chunked, true).await.1, Err(Broken::Read)));
    assert!(matches!(through(b"5\r\nhelloX", Body::Chunked, true).await.1, Err(Broken::Invalid(Invalid::Chunk))));
}
