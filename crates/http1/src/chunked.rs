//! Chunked bodies (RFC 9112, section 7.1), taken apart in place.

use crate::Invalid;

/// The most digits of a chunk's size; 16^15 bytes are more than anybody has.
const MAX_DIGITS: u8 = 15;
/// The most bytes of extensions, for a whole body: they mean nothing to us, and endless ones are an attack.
const MAX_EXTENSIONS: u16 = 4096;
/// The most bytes of trailers.
const MAX_TRAILERS: u16 = 8192;

/// Takes a chunked body apart as it arrives. Trailers are checked, and dropped unless they are to be kept.
#[derive(Debug, Clone, Default)]
pub struct Chunked {
    state: State,
    /// Bytes of the chunk that are still to come, or the size as read so far.
    size: u64,
    digits: u8,
    extensions: u16,
    trailers: u16,
    /// The trailer section's lines, if they are wanted.
    kept: Option<Vec<u8>>,
}

/// What [`Chunked::decode`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// This many bytes of data are now at the buffer's start.
    pub data: usize,
    /// This many bytes of the buffer were looked at; what follows them is not part of the body once it is `done`.
    pub consumed: usize,
    /// The body has ended.
    pub done: bool,
}

/// ```text
///            digits                CRLF               data
/// Size ──────────────► Size ─┬──────────► Data ─────────────► DataCr ─► DataLf ─► Size
///                            │  ;
///                            ├──────► ExtensionStart ─► ExtensionName ─┬─► SizeLf ──► Data
///                            │                                      = └─► ValueStart ─► Value, Quoted ─► SizeLf
///                            │ size 0
///                            └──────► TrailerStart ─┬─ name ─► TrailerName ─:─► TrailerValue ─CR─► TrailerLf ─► TrailerStart
///                                                   └─ CR ───► EndLf ─► Done
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Size,
    ExtensionStart,
    ExtensionName,
    ValueStart,
    Value,
    Quoted,
    QuotedPair,
    Unquoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl Chunked {
    /// One that keeps the trailers, for [`Self::take_trailers`].
    pub fn keeping_trailers() -> Self {
        Self { kept: Some(Vec::new()), ..Self::default() }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The lines of the trailer section as they came, each with its CRLF, once the body has ended; see [`crate::trailer::fields`].
    pub fn take_trailers(&mut self) -> Vec<u8> {
        if self.is_done() { self.kept.take().unwrap_or_default() } else { Vec::new() }
    }

    /// Takes in the bytes of `buffer` and moves the data among them to its start.
    ///
    /// # Errors
    /// [`Invalid::Chunk`] or [`Invalid::Trailer`] when the grammar is broken.
    pub fn decode(&mut self, buffer: &mut [u8]) -> Result<Decoded, Invalid> {
        let (mut data, mut at) = (0, 0);
        while self.state != State::Done {
            if self.state == State::Data {
                let here = usize::try_from(self.size).unwrap_or(usize::MAX).min(buffer.len() - at);
                if data != at {
                    buffer.copy_within(at..at + here, data);
                }
                (data, at, self.size) = (data + here, at + here, self.size - here as u64);
                if self.size > 0 {
                    break;
                }
                self.state = State::DataCr;
            }
            let Some(byte) = buffer.get(at) else { break };
            self.step(*byte)?;
            at += 1;
        }
        Ok(Decoded { data, consumed: at, done: self.state == State::Done })
    }

    fn step(&mut self, byte: u8) -> Result<(), Invalid> {
        self.state = match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < MAX_DIGITS => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                self.size = self.size * 16 + u64::from(digit);
                self.digits += 1;
                State::Size
            }
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';') if self.digits > 0 => State::ExtensionStart,
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                if self.size == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf | State::EndLf, _) => {
                return self.trailer(byte);
            }
            _ => return self.extension(byte),
        };
        Ok(())
    }

    /// Extensions are dropped, but not before their grammar is looked at: where a quoted string ends is where the line can end. The white
    /// space that RFC 9112, section 7.1.1 calls bad is refused.
    fn extension(&mut self, byte: u8) -> Result<(), Invalid> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS {
            return Err(Invalid::Chunk);
        }
        self.state = match (self.state, byte) {
            (State::ExtensionName | State::Value | State::Unquoted, b'\r') => State::SizeLf,
            (State::ExtensionName | State::Value | State::Unquoted, b';') => State::ExtensionStart,
            (State::ExtensionName, b'=') => State::ValueStart,
            (State::ExtensionStart | State::ExtensionName, _) if is_token(byte) => State::ExtensionName,
            (State::ValueStart, b'"') => State::Quoted,
            (State::ValueStart | State::Value, _) if is_token(byte) => State::Value,
            (State::Quoted, b'"') => State::Unquoted,
            (State::Quoted, b'\\') => State::QuotedPair,
            (State::Quoted | State::QuotedPair, b'\t' | 0x20..=0x7e | 0x80..) => State::Quoted,
            _ => return Err(Invalid::Chunk),
        };
        Ok(())
    }

    fn trailer(&mut self, byte: u8) -> Result<(), Invalid> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS {
            return Err(Invalid::Trailer);
        }
        self.state = match (self.state, byte) {
            (State::TrailerStart, b'\r') => State::EndLf,
            // An underscore is as good as a hyphen to some readers; in a field that is dropped, too, it has no place.
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) && byte != b'_' => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, b'\t' | 0x20..=0x7e | 0x80..) => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(Invalid::Trailer),
        };
        // Not the empty line that ends the section.
        if !matches!(self.state, State::EndLf | State::Done)
            && let Some(kept) = &mut self.kept
        {
            kept.push(byte);
        }
        Ok(())
    }
}

/// Whether `byte` can be part of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
