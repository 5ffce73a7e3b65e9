//! The strict origin: reads requests as the letter of RFC 9112 has it, records them, and answers as it is told. One thread and no
//! blocking call, so that what was asked is known for sure to be what came before the question.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use super::case::{Answer, Then};
use super::message::{self, Framing, Head, escaped};

/// What clients ask for to see whether all is well: it is answered with the path, whatever else the origin was told to say.
pub(crate) const PROBE: &str = "/probe/";

/// A request that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which connection it came by.
    pub(crate) connection: usize,
    /// It ended before its end.
    pub(crate) cut: bool,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// What happened since the last time that somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) requests: Vec<Request>,
    /// Targets of the probes.
    pub(crate) probes: Vec<String>,
    /// What no strict reader takes.
    pub(crate) violations: Vec<String>,
    /// Answers that were never given.
    pub(crate) unsaid: usize,
}

enum Command {
    Answers(Vec<Answer>, Sender<()>),
    Adds(Vec<u8>, Then, Sender<()>),
    Record(Sender<Record>),
}

/// A running origin.
pub(crate) struct Origin {
    commands: Sender<Command>,
}

impl Origin {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the origin's address is free");
        listener.set_nonblocking(true).expect("settable");
        let (commands, receiver) = channel();
        std::thread::spawn(move || State::new(listener).run(&receiver));
        Self { commands }
    }

    /// What it says to the next requests.
    pub(crate) fn answers(&self, answers: Vec<Answer>) {
        let (done, wait) = channel();
        self.commands.send(Command::Answers(answers, done)).expect("it runs");
        wait.recv().expect("it runs");
    }

    /// It sends this on the connection that it last answered on.
    pub(crate) fn adds(&self, bytes: Vec<u8>, then: Then) {
        let (done, wait) = channel();
        self.commands.send(Command::Adds(bytes, then, done)).expect("it runs");
        wait.recv().expect("it runs");
    }

    /// What happened since the last time.
    pub(crate) fn record(&self) -> Record {
        let (reply, wait) = channel();
        self.commands.send(Command::Record(reply)).expect("it runs");
        wait.recv().expect("it runs")
    }
}

struct State {
    listener: TcpListener,
    connections: Vec<Connection>,
    next: usize,
    last: usize,
    answers: VecDeque<Answer>,
    record: Record,
}

struct Connection {
    id: usize,
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The answer to the request whose head is here has been given.
    answered: bool,
    then: Then,
    gone: bool,
}

impl State {
    fn new(listener: TcpListener) -> Self {
        Self { listener, connections: Vec::new(), next: 0, last: 0, answers: VecDeque::new(), record: Record::default() }
    }

    fn run(mut self, commands: &Receiver<Command>) {
        let mut idle = 0;
        loop {
            // Whoever asks has done before what it asks about: take the question first, then all that is there, then answer.
            let command = match commands.try_recv() {
                Ok(command) => Some(command),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return,
            };
            let busy = self.pass() | command.is_some();
            match command {
                None => {}
                Some(Command::Answers(answers, done)) => {
                    self.answers = answers.into();
                    let _ = done.send(());
                }
                Some(Command::Adds(bytes, then, done)) => {
                    let last = self.last;
                    if let Some(connection) = self.connections.iter_mut().find(|it| it.id == last) {
                        connection.output.extend(bytes);
                        connection.then = then;
                        connection.write();
                    }
                    self.connections.retain(|it| !it.gone);
                    let _ = done.send(());
                }
                Some(Command::Record(reply)) => {
                    self.record.unsaid = self.answers.drain(..).count();
                    let _ = reply.send(std::mem::take(&mut self.record));
                }
            }
            idle = if busy { 0 } else { idle + 1 };
            if idle > 20 {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// Takes in all that is there. Whether there was anything.
    fn pass(&mut self) -> bool {
        let mut busy = false;
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).expect("settable");
            let id = self.next;
            self.next += 1;
            let (input, output) = (Vec::new(), Vec::new());
            self.connections.push(Connection { id, stream, input, output, answered: false, then: Then::Stay, gone: false });
            busy = true;
        }
        let mut connections = std::mem::take(&mut self.connections);
        for connection in &mut connections {
            let ended = connection.read(&mut busy);
            while self.take(connection) {
                busy = true;
            }
            connection.write();
            if ended || connection.gone {
                self.end(connection);
            }
        }
        connections.retain(|it| !it.gone);
        self.connections = connections;
        busy
    }

    /// Takes one request, or one step towards it, from what has come. Whether there was one.
    fn take(&mut self, connection: &mut Connection) -> bool {
        match self.try_take(connection) {
            Ok(taken) => taken,
            Err(violation) => {
                self.record.violations.push(format!("{violation}; in all: {}", escaped(&connection.input)));
                connection.input.clear();
                connection.gone = true;
                false
            }
        }
    }

    fn try_take(&mut self, connection: &mut Connection) -> Result<bool, String> {
        let Some((request, framing, length)) = request_head(connection)? else { return Ok(false) };
        if !connection.answered {
            let early = self.answers.front().is_some_and(|it| it.early) && !request.target.starts_with(PROBE);
            if early && let Some(answer) = self.answers.pop_front() {
                self.last = connection.id;
                connection.say(answer);
                connection.write();
            }
        }
        let body = message::body(framing, &connection.input[length..])?;
        if !body.whole {
            return Ok(false);
        }
        connection.input.drain(..length + body.used);
        let request = Request { body: body.data, ..request };
        if !std::mem::take(&mut connection.answered) {
            self.last = connection.id;
            connection.say(self.answer(&request));
        }
        if request.target.starts_with(PROBE) {
            self.record.probes.push(request.target);
        } else {
            self.record.requests.push(request);
        }
        Ok(true)
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let plain = |body: &str| {
            let length = body.len();
            let body = if request.method == "HEAD" { "" } else { body };
            let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes();
            Answer { bytes, early: false, then: Then::Stay }
        };
        if request.target.starts_with(PROBE) {
            return plain(&request.target);
        }
        self.answers.pop_front().unwrap_or_else(|| plain("ok"))
    }

    /// The peer has closed: what is here is all of it.
    fn end(&mut self, connection: &mut Connection) {
        connection.gone = true;
        if connection.input.is_empty() {
            return;
        }
        match request_head(connection) {
            Ok(Some((request, framing, length))) => {
                let body = message::body(framing, &connection.input[length..]).map(|it| it.data).unwrap_or_default();
                self.record.requests.push(Request { body, cut: true, ..request });
            }
            _ => self.record.violations.push(format!("an incomplete head: {}", escaped(&connection.input))),
        }
    }
}

/// The request whose head is at the start of what has come, the framing of its body, and the head's length.
fn request_head(connection: &Connection) -> Result<Option<(Request, Framing, usize)>, String> {
    let Some((head, length)) = message::head(&connection.input)? else { return Ok(None) };
    let [method, target, "HTTP/1.1"] = head.first.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("bad request line {:?}", head.first));
    };
    if head.values("host").len() != 1 {
        return Err("not exactly one host".to_owned());
    }
    if target != "*" && !target.starts_with('/') {
        return Err(format!("bad target {target:?}"));
    }
    // A WebSocket is asked for with exactly these two.
    let asks = head.values("connection") == [b"upgrade"] && head.values("upgrade") == [b"websocket"];
    for name in ["connection", "keep-alive", "te", "trailer", "upgrade", "proxy-connection", "http2-settings", "expect"] {
        if !head.values(name).is_empty() && !(asks && (name == "connection" || name == "upgrade")) {
            return Err(format!("{name} was forwarded"));
        }
    }
    let framing = head.request_framing()?;
    let (method, target) = (method.to_owned(), target.to_owned());
    let request = Request { connection: connection.id, cut: false, method, target, head, body: Vec::new() };
    Ok(Some((request, framing, length)))
}

impl Connection {
    fn say(&mut self, answer: Answer) {
        self.output.extend(answer.bytes);
        self.then = answer.then;
        self.answered = answer.early;
    }

    /// Reads what is there. Whether the peer has closed.
    fn read(&mut self, busy: &mut bool) -> bool {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => {
                    *busy = true;
                    self.input.extend_from_slice(&buffer[..count]);
                }
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    fn write(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.gone = true,
            }
        }
        match self.then {
            Then::Stay => {}
            Then::Close => self.gone = true,
            // Closing with bytes that nobody has read resets, and so does this.
            Then::Reset => {
                let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
                self.gone = true;
            }
        }
    }
}

impl Request {
    /// As cases write it, without what is as usual.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.method, escaped(self.target.as_bytes()));
        let mut fields: Vec<_> = self.head.fields.iter().filter(|(name, value)| !is_usual(name, value)).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in fields {
            text.push_str(format!("{name}: {}", escaped(value)).trim_end());
            text.push('\n');
        }
        if !self.body.is_empty() {
            text.push_str(&format!("= {}\n", escaped(&self.body)));
        }
        text
    }

    /// What Weir adds to every request and this one lacks, or has twice.
    pub(crate) fn complaint(&self) -> Option<String> {
        let wrong = |name: &&&str| self.head.values(name).len() != 1;
        let names = ["x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-request-id"];
        names.iter().find(wrong).map(|name| format!("not exactly one {name} in {:?}", self.head))
    }
}

fn is_usual(name: &str, value: &[u8]) -> bool {
    match name {
        "host" => value == b"wire.test",
        "x-forwarded-for" | "x-envoy-external-address" => value == b"127.0.0.1",
        "x-forwarded-proto" => value == b"http",
        "x-request-id" => value.len() == 36 && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-'),
        _ => false,
    }
}
