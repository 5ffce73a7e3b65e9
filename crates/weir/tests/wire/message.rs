//! HTTP/1 messages as the strictest reader sees them. Written for these tests and shared by the origin and the client: whatever is not
//! exactly what RFC 9112 tells a sender to send is an error.

/// A message's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) first: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A body as far as it has come: the data, how many bytes it took, and whether it is whole.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) data: Vec<u8>,
    pub(crate) used: usize,
    pub(crate) whole: bool,
}

impl Head {
    /// All values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// The only value of a field.
    fn one(&self, name: &str) -> Result<Option<&[u8]>, String> {
        match self.values(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(format!("several {name}")),
        }
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> Result<u16, String> {
        let mut parts = self.first.splitn(3, ' ');
        let (version, status, reason) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
        if version != Some("HTTP/1.1") || reason.is_none() || status.len() != 3 {
            return Err(format!("bad status line {:?}", self.first));
        }
        status.parse().map_err(|_| format!("bad status {status:?}"))
    }

    /// How a request's body is framed.
    pub(crate) fn request_framing(&self) -> Result<Framing, String> {
        Ok(self.framing()?.unwrap_or(Framing::Length(0)))
    }

    /// How an answer's body is framed.
    pub(crate) fn response_framing(&self, to_head: bool) -> Result<Framing, String> {
        let (framing, status) = (self.framing()?, self.status()?);
        let bodiless = status < 200 || status == 204;
        if bodiless && framing.is_some() {
            return Err(format!("an answer with status {status} must not be framed"));
        }
        Ok(if to_head || bodiless || status == 304 { Framing::Length(0) } else { framing.unwrap_or(Framing::UntilClose) })
    }

    fn framing(&self) -> Result<Option<Framing>, String> {
        match (self.one("content-length")?, self.one("transfer-encoding")?) {
            (Some(_), Some(_)) => Err("both content-length and transfer-encoding".to_owned()),
            (None, Some(b"chunked")) => Ok(Some(Framing::Chunked)),
            (None, Some(other)) => Err(format!("transfer-encoding {:?}", escaped(other))),
            (Some(digits), None) => {
                let text = std::str::from_utf8(digits).unwrap_or_default();
                let clean = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
                let length = text.parse().ok().filter(|_| clean);
                length.map(|it| Some(Framing::Length(it))).ok_or(format!("content-length {:?}", escaped(digits)))
            }
            (None, None) => Ok(None),
        }
    }
}

/// The head at the start of `bytes` and its length; none if it is not whole yet.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        let clean = lines(bytes.strip_suffix(b"\r").unwrap_or(bytes)).is_ok();
        return if clean { Ok(None) } else { Err(format!("bare CR or LF in {:?}", escaped(bytes))) };
    };
    let mut lines = lines(&bytes[..end]).map_err(|()| format!("bare CR or LF in {:?}", escaped(&bytes[..end])))?.into_iter();
    let first = lines.next().unwrap_or_default();
    if first.is_empty() || !first.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return Err(format!("bad first line {:?}", escaped(first)));
    }
    let fields = lines.map(field).collect::<Result<_, _>>()?;
    Ok(Some((Head { first: String::from_utf8_lossy(first).into_owned(), fields }, end + 4)))
}

/// The body at the start of `bytes`, as far as it has come.
pub(crate) fn body(framing: Framing, bytes: &[u8]) -> Result<Body, String> {
    match framing {
        Framing::Length(length) => {
            let used = length.min(bytes.len());
            Ok(Body { data: bytes[..used].to_vec(), used, whole: used == length })
        }
        Framing::UntilClose => Ok(Body { data: bytes.to_vec(), used: bytes.len(), whole: false }),
        Framing::Chunked => chunked(bytes),
    }
}

fn chunked(bytes: &[u8]) -> Result<Body, String> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let partial = |data, used| Ok(Body { data, used, whole: false });
        let Some(end) = find(&bytes[at..], b"\r\n") else { return partial(data, bytes.len()) };
        let size = std::str::from_utf8(&bytes[at..at + end]).unwrap_or_default();
        let clean = !size.is_empty() && size.len() <= 8 && size.bytes().all(|it| it.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| clean).ok_or(format!("bad chunk size {size:?}"))?;
        at += end + 2;
        let here = size.min(bytes.len() - at);
        data.extend_from_slice(&bytes[at..at + here]);
        if here < size || bytes.len() < at + size + 2 {
            return partial(data, bytes.len());
        }
        at += size;
        // The last chunk, too, must be followed by an empty line at once: Weir drops trailers.
        if &bytes[at..at + 2] != b"\r\n" {
            return Err(format!("no CRLF after a chunk but {:?}", escaped(&bytes[at..at + 2])));
        }
        at += 2;
        if size == 0 {
            return Ok(Body { data, used: at, whole: true });
        }
    }
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let bad = || format!("bad field line {:?}", escaped(line));
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(bad)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~_".contains(byte);
    let text = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    if name.is_empty() || !name.iter().all(token) || !value.iter().all(text) {
        return Err(bad());
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value.trim_ascii().to_vec()))
}

/// The lines of `bytes`, which end in CRLF and have neither CR nor LF within.
fn lines(bytes: &[u8]) -> Result<Vec<&[u8]>, ()> {
    let (mut lines, mut rest) = (Vec::new(), bytes);
    loop {
        let end = find(rest, b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.contains(&b'\r') || line.contains(&b'\n') {
            return Err(());
        }
        lines.push(line);
        match end {
            Some(end) => rest = &rest[end + 2..],
            None => return Ok(lines),
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// Bytes as cases write them.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}
