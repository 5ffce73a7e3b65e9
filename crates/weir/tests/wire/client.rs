//! The client: sends raw bytes and reads answers strictly.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::message::{self, Head, escaped};

/// How long an answer may take before it is missing.
const PATIENCE: Duration = Duration::from_secs(5);
/// Into how many pieces a large sending is cut at most.
const PIECES: usize = 600;

/// A client's connection.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    ended: bool,
    /// All that came, for reports.
    pub(crate) came: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// The connection ended before the body did.
    pub(crate) cut: bool,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway accepts");
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).expect("settable");
        Self { stream, input: Vec::new(), ended: false, came: Vec::new() }
    }

    /// Sends; piece by piece if it shall `drip`. That the other side has closed is not an error here: it shows when its answer is read.
    pub(crate) fn send(&mut self, bytes: &[u8], drip: bool) {
        let piece = if drip { bytes.len().div_ceil(PIECES).max(1) } else { bytes.len().max(1) };
        for piece in bytes.chunks(piece) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    pub(crate) fn shut(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads one answer.
    pub(crate) fn answer(&mut self, to_head: bool) -> Result<Answer, String> {
        loop {
            if let Some((head, length)) = message::head(&self.input)? {
                let framing = head.response_framing(to_head)?;
                let body = message::body(framing, &self.input[length..])?;
                if body.whole || self.ended {
                    self.input.drain(..length + body.used);
                    return Ok(Answer { status: head.status()?, head, body: body.data, cut: !body.whole });
                }
            } else if self.ended {
                return Err(format!("the connection ended, with {:?} of an answer", escaped(&self.input)));
            }
            self.read()?;
        }
    }

    /// Waits for an answer's head, and leaves it there; gives its status.
    pub(crate) fn status(&mut self) -> Result<u16, String> {
        loop {
            match message::head(&self.input)? {
                Some((head, _)) => return head.status(),
                None if self.ended => return Err("the connection ended".to_owned()),
                None => self.read()?,
            }
        }
    }

    /// Whether the other side has closed.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Waits for the end of the connection; gives what came before it.
    pub(crate) fn end(&mut self) -> Result<Vec<u8>, String> {
        while !self.ended {
            self.read()?;
        }
        Ok(std::mem::take(&mut self.input))
    }

    /// What has come and was not read as part of an answer.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.input
    }

    fn read(&mut self) -> Result<(), String> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                self.came.extend_from_slice(&buffer[..count]);
                self.input.extend_from_slice(&buffer[..count]);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(format!("nothing more came in {PATIENCE:?} after {:?}", escaped(&self.input)));
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }
}
