//! Response heads.

use std::mem::MaybeUninit;

use crate::field::{content_length, lines_are_clean};
use crate::request::refusal;
use crate::{Body, Connection, Field, Invalid, Known, MAX_FIELDS, MAX_HEAD, Parsed, Span};

/// A response head: spans into the buffer that it was read from. Reused from response to response.
#[derive(Debug, Default)]
pub struct Response {
    /// The status: 100 to 999.
    pub status: u16,
    /// The reason phrase.
    pub reason: Span,
    /// The body's framing. For HEAD, 204, 304 and 1xx there is none whatever the fields say.
    pub body: Body,
    /// The fields in the order sent.
    pub fields: Vec<Field>,
    /// What the Connection field says; `close` also when an HTTP/1.0 server did not ask for `keep-alive`.
    pub connection: Connection,
    /// Whether it is chunked, or would be if it had a body (an answer to HEAD).
    pub chunked: bool,
}

impl Response {
    /// Reads a head from the start of `buffer`; `to_head`: it answers a HEAD request.
    ///
    /// # Errors
    /// [`Invalid`]: the connection cannot be used any more.
    pub fn parse(&mut self, buffer: &[u8], to_head: bool) -> Result<Parsed, Invalid> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut []);
        if matches!(buffer.first(), Some(b'\r' | b'\n')) {
            return Err(Invalid::LineEnding);
        }
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, buffer, &mut fields);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(httparse::Status::Complete(_)) => return Err(Invalid::TooLarge),
            Ok(httparse::Status::Partial) if buffer.len() > MAX_HEAD => return Err(Invalid::TooLarge),
            Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
            Err(error) => return Err(refusal(error, buffer)),
        };
        if !lines_are_clean(buffer.get(..length).unwrap_or_default()) {
            return Err(Invalid::LineEnding);
        }
        self.status = head.code.filter(|code| (100..=999).contains(code)).ok_or(Invalid::Syntax)?;
        let reason = head.reason.unwrap_or_default();
        // `httparse` gives an empty text of its own when there is none or when it has bytes beyond ASCII.
        self.reason = if reason.is_empty() { Span::default() } else { Span::of(buffer, reason.as_bytes())? };
        self.read_fields(buffer, head.headers, head.version == Some(0), to_head)?;
        Ok(Parsed::Complete(length))
    }

    fn read_fields(&mut self, buffer: &[u8], headers: &[httparse::Header<'_>], old: bool, to_head: bool) -> Result<(), Invalid> {
        self.fields.clear();
        self.connection = Connection::default();
        self.chunked = false;
        let (mut length, mut stays) = (None, false);
        for header in headers {
            let name = header.name.as_bytes();
            if name.is_empty() {
                return Err(Invalid::Syntax);
            }
            let value = header.value.trim_ascii();
            let field = Field { name: Span::of(buffer, name)?, value: Span::of(buffer, value)?, known: Known::of(name) };
            match field.known {
                Known::ContentLength if length.replace(content_length(value)?).is_some() => return Err(Invalid::ContentLength),
                Known::TransferEncoding if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                    return Err(Invalid::TransferEncoding);
                }
                Known::TransferEncoding => self.chunked = true,
                Known::Connection => {
                    self.connection.read(value);
                    stays |= Connection::names(value, b"keep-alive");
                }
                _ => {}
            }
            self.fields.push(field);
        }
        if self.chunked && (length.is_some() || old) {
            return Err(Invalid::LengthAndChunked);
        }
        self.connection.close |= old && !stays;
        let bodiless = to_head || self.status < 200 || self.status == 204 || self.status == 304;
        self.body = match length {
            _ if bodiless => Body::None,
            _ if self.chunked => Body::Chunked,
            Some(0) => Body::None,
            Some(length) => Body::Length(length),
            None => Body::UntilClose,
        };
        Ok(())
    }
}
