//! The first message of a client, read before anything is promised to it: it names the listener. Sans-io.

use std::fmt;

use rustls::server::Acceptor;

/// The most bytes that a ClientHello may take, with the record headers around it. Those with post-quantum keys have about 2 KiB.
pub(crate) const MAX_HELLO: usize = 16 * 1024;

/// A client's first bytes, until its hello is complete.
pub(crate) struct Greeting {
    acceptor: Acceptor,
    bytes: Vec<u8>,
}

/// What a complete hello says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The host that the client wants, lower case; none if it does not say.
    pub(crate) server_name: Option<Box<str>>,
    /// All bytes that came.
    pub(crate) bytes: Vec<u8>,
}

/// The bytes are no hello of TLS, or it is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotHello;

impl Greeting {
    pub(crate) fn new() -> Self {
        Self { acceptor: Acceptor::default(), bytes: Vec::new() }
    }

    /// Takes more bytes. None: the hello goes on.
    ///
    /// # Errors
    /// [`NotHello`]; then the connection is to be closed, without a word: who does not speak TLS would not understand one.
    pub(crate) fn hear(&mut self, more: &[u8]) -> Result<Option<Heard>, NotHello> {
        if self.bytes.len() + more.len() > MAX_HELLO {
            return Err(NotHello);
        }
        self.bytes.extend_from_slice(more);
        let mut rest = more;
        while !rest.is_empty() {
            self.acceptor.read_tls(&mut rest).map_err(|_| NotHello)?;
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let server_name = accepted.client_hello().server_name().map(|name| name.to_ascii_lowercase().into());
                    return Ok(Some(Heard { server_name, bytes: std::mem::take(&mut self.bytes) }));
                }
                Err(_) => return Err(NotHello),
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Greeting({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    fn hello(name: &'static str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let name = ServerName::try_from(name).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("a hello");
        bytes
    }

    #[test]
    fn a_hello_is_heard_whole_or_byte_by_byte() {
        let bytes = hello("A.Example.com");
        let mut whole = Greeting::new();
        let heard = whole.hear(&bytes).expect("a hello").expect("all of it");
        assert_eq!((heard.server_name.as_deref(), &heard.bytes), (Some("a.example.com"), &bytes));
        let mut drip = Greeting::new();
        let (last, first) = bytes.split_last().expect("bytes");
        for byte in first {
            assert_eq!(drip.hear(&[*byte]), Ok(None));
        }
        assert_eq!(drip.hear(&[*last]).expect("a hello"), Some(heard));
    }

    #[test]
    fn an_address_is_no_name_and_other_protocols_are_no_hello() {
        let heard = Greeting::new().hear(&hello("192.0.2.1")).expect("a hello").expect("all of it");
        assert_eq!(heard.server_name, None);
        assert_eq!(Greeting::new().hear(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), Err(NotHello));
        assert_eq!(Greeting::new().hear(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(NotHello));
    }

    #[test]
    fn a_hello_has_a_bound() {
        let mut greeting = Greeting::new();
        // A handshake record that announces a hello of 64 KiB, in records of one byte.
        let mut outcome = greeting.hear(&[22, 3, 1, 0, 4, 1, 0, 255, 255]);
        for _ in 0..MAX_HELLO {
            if outcome != Ok(None) {
                break;
            }
            outcome = greeting.hear(&[22, 3, 1, 0, 1, 0]);
        }
        assert_eq!(outcome, Err(NotHello));
        assert!(greeting.bytes.len() <= MAX_HELLO);
    }
}
