//! Request heads.

use std::mem::MaybeUninit;

use crate::field::{content_length, lines_are_clean, list};
use crate::{Body, Field, Invalid, Known, MAX_FIELDS, MAX_HEAD, Parsed, Span, authority};

/// A request head: spans into the buffer that it was read from. Reused from request to request.
#[derive(Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Span,
    /// The path with its query, as sent; `*` for `OPTIONS *`; empty when an absolute target has no path.
    pub target: Span,
    /// The host and port that the request is for.
    pub authority: Span,
    /// How the target was given.
    pub form: Form,
    /// The body's framing.
    pub body: Body,
    /// The fields in the order sent.
    pub fields: Vec<Field>,
    /// What the Connection field says.
    pub connection: Connection,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The method is HEAD: the answer has no body.
    pub is_head: bool,
    /// A header name has an underscore: applications confuse it with a hyphen.
    pub underscores: bool,
    /// To be set before parsing: whether HTTP/1.0 is read, too.
    pub allow_old: bool,
    /// It is HTTP/1.0: the host may be missing (then the authority is empty), and the answer must neither be chunked nor kept alive.
    pub is_old: bool,
}

/// The form of a request target (RFC 9112, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `*`
    Asterisk,
}

/// What a Connection field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    /// `close`
    pub close: bool,
    /// `upgrade`, and there is an Upgrade field.
    pub upgrade: bool,
    /// Other names: those fields are for this connection alone.
    pub names: bool,
}

impl Request {
    /// Reads a head from the start of `buffer`.
    ///
    /// # Errors
    /// [`Invalid`]: answer it and close the connection, since nobody knows where the next request begins.
    pub fn parse(&mut self, buffer: &[u8]) -> Result<Parsed, Invalid> {
        // One empty line may precede a request (RFC 9112, section 2.2): old clients send one after a body.
        let skipped = if buffer.starts_with(b"\r\n") { 2 } else { 0 };
        let text = buffer.get(skipped..).unwrap_or_default();
        if matches!(text.first(), Some(b'\r' | b'\n')) && text != b"\r" {
            return Err(Invalid::LineEnding);
        }
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut []);
        let length = match head.parse_with_uninit_headers(text, &mut fields) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(httparse::Status::Complete(_)) => return Err(Invalid::TooLarge),
            Ok(httparse::Status::Partial) if buffer.len() > MAX_HEAD => return Err(Invalid::TooLarge),
            Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
            Err(error) => return Err(refusal(error, text)),
        };
        if !lines_are_clean(text.get(..length).unwrap_or_default()) {
            return Err(Invalid::LineEnding);
        }
        self.is_old = head.version == Some(0);
        match head.version {
            Some(1) => {}
            Some(0) if self.allow_old => {}
            Some(0) => return Err(Invalid::LowVersion),
            _ => return Err(Invalid::Version),
        }
        let method = head.method.unwrap_or_default();
        if method.len() > 32 {
            return Err(Invalid::Method);
        }
        if method == "CONNECT" {
            return Err(Invalid::Connect);
        }
        self.is_head = method == "HEAD";
        self.method = Span::of(buffer, method.as_bytes())?;
        self.read_fields(buffer, head.headers)?;
        self.read_target(buffer, method, head.path.unwrap_or_default())?;
        Ok(Parsed::Complete(skipped + length))
    }

    fn read_fields(&mut self, buffer: &[u8], headers: &[httparse::Header<'_>]) -> Result<(), Invalid> {
        self.fields.clear();
        self.connection = Connection::default();
        self.expects_continue = false;
        self.underscores = false;
        let (mut host, mut length, mut chunked, mut upgrade, mut authorized) = (None, None, false, false, false);
        for header in headers {
            let name = header.name.as_bytes();
            if name.is_empty() {
                return Err(Invalid::Syntax);
            }
            self.underscores |= name.contains(&b'_');
            let value = header.value.trim_ascii();
            let field = Field { name: Span::of(buffer, name)?, value: Span::of(buffer, value)?, known: Known::of(name) };
            match field.known {
                Known::Host if host.replace(field.value).is_some() => return Err(Invalid::Host),
                Known::ContentLength if length.replace(content_length(value)?).is_some() => return Err(Invalid::ContentLength),
                Known::TransferEncoding if chunked || !value.eq_ignore_ascii_case(b"chunked") => return Err(Invalid::TransferEncoding),
                Known::TransferEncoding => chunked = true,
                Known::Connection => self.connection.read(value),
                Known::Upgrade => upgrade = true,
                Known::Other
                    if name.len() == 13 && name.eq_ignore_ascii_case(b"authorization") && std::mem::replace(&mut authorized, true) =>
                {
                    return Err(Invalid::Credentials);
                }
                Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => self.expects_continue = true,
                _ => {}
            }
            self.fields.push(field);
        }
        self.body = match (length, chunked) {
            (Some(_), true) => return Err(Invalid::LengthAndChunked),
            // HTTP/1.0 has no transfer codings: its framing is faulty (RFC 9112, section 6.1).
            (None, true) if self.is_old => return Err(Invalid::TransferEncoding),
            (None, true) => Body::Chunked,
            (None | Some(0), false) => Body::None,
            (Some(length), false) => Body::Length(length),
        };
        self.connection.upgrade &= upgrade;
        if self.is_old {
            self.connection = Connection { close: true, upgrade: false, names: self.connection.names };
            self.expects_continue = false;
            if host.is_none() {
                self.authority = Span::default();
                return Ok(());
            }
        }
        self.authority = host.ok_or(Invalid::Host)?;
        authority(self.authority.bytes(buffer)).ok_or(Invalid::Host)?;
        Ok(())
    }

    fn read_target(&mut self, buffer: &[u8], method: &str, target: &str) -> Result<(), Invalid> {
        // Visible ASCII only, and no fragment: that never travels (RFC 9112, section 3.2).
        let fine = |byte: &u8| (0x21..=0x7e).contains(byte) && *byte != b'#';
        if target.is_empty() || !target.as_bytes().iter().all(fine) {
            return Err(Invalid::Target);
        }
        if target == "*" && method == "OPTIONS" {
            self.form = Form::Asterisk;
        } else if target.starts_with('/') {
            self.form = Form::Origin;
        } else {
            return self.read_absolute(buffer, target);
        }
        self.target = Span::of(buffer, target.as_bytes())?;
        Ok(())
    }

    fn read_absolute(&mut self, buffer: &[u8], target: &str) -> Result<(), Invalid> {
        let scheme = |name: &str| target.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).and(target.get(name.len()..));
        let rest = scheme("http://").or_else(|| scheme("https://")).ok_or(Invalid::Target)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end).ok_or(Invalid::Target)?;
        authority(host.as_bytes()).ok_or(Invalid::Target)?;
        // Host must be identical to the target's authority (RFC 9112, section 3.2.2); two answers to "which host" are one too many.
        if self.is_old && self.authority == Span::default() {
            self.authority = Span::of(buffer, host.as_bytes())?;
        } else if !self.authority.bytes(buffer).eq_ignore_ascii_case(host.as_bytes()) {
            return Err(Invalid::Host);
        }
        if path.starts_with('?') {
            return Err(Invalid::Target);
        }
        self.form = Form::Absolute;
        self.target = Span::of(buffer, path.as_bytes())?;
        Ok(())
    }
}

impl Connection {
    pub(crate) fn read(&mut self, value: &[u8]) {
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !option.eq_ignore_ascii_case(b"keep-alive") && !option.eq_ignore_ascii_case(b"te") {
                // TE is for this connection alone by its name.
                self.names = true;
            }
        }
    }

    /// Whether a Connection field with `value` names `field`.
    pub fn names(value: &[u8], field: &[u8]) -> bool {
        list(value).any(|option| option.eq_ignore_ascii_case(field))
    }
}

/// What `httparse` found, in our words.
pub(crate) fn refusal(error: httparse::Error, text: &[u8]) -> Invalid {
    match error {
        httparse::Error::TooManyHeaders => Invalid::TooLarge,
        httparse::Error::Version => Invalid::Version,
        httparse::Error::NewLine => Invalid::LineEnding,
        // It finds a bad method and a bad target by the same name.
        httparse::Error::Token if memchr::memchr(b' ', text).is_none() => Invalid::Method,
        _ => Invalid::Syntax,
    }
}
