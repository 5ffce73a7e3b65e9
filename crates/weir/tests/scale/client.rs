//! A client that keeps its connection.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::manifest::{ADDRESS, ROUTE};

/// Longer than anything here may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What the route's own header says; empty without one.
    pub(crate) route: String,
}

/// One connection to the Gateway.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    pub(crate) fn open() -> io::Result<Self> {
        let stream = TcpStream::connect((ADDRESS, 80))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream), line: String::new() })
    }

    /// One request and its answer.
    pub(crate) fn ask(&mut self, host: &str, path: &str) -> io::Result<Answer> {
        self.send(host, path)?;
        self.receive()
    }

    pub(crate) fn send(&mut self, host: &str, path: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())
    }

    pub(crate) fn receive(&mut self) -> io::Result<Answer> {
        let status = self.line()?.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        let (mut length, mut route) = (0, String::new());
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            } else if name.eq_ignore_ascii_case(ROUTE) {
                value.trim().clone_into(&mut route);
            }
        }
        io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
        Ok(Answer { status, route })
    }

    fn line(&mut self) -> io::Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_end())
    }
}
