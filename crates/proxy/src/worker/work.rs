//! What an exchange needs while it lasts. Borrowed from the worker, so that an idle connection has none of it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use weir_http1::{Request, Response};

use super::answer::Reply;
use super::buffer::{Buffer, Spares};
use super::local::LocalConfig;
use super::pump::Pump;
use super::upstream::Upstream;
use crate::access_log::Record;
use crate::tls::Fingerprints;

/// The most sets that a worker keeps for later.
const MAX_FREE: usize = 128;

/// Buffers and parsed heads of one exchange.
pub(crate) struct Work {
    /// From the client.
    pub(crate) input: Buffer,
    /// From the backend.
    pub(crate) output: Buffer,
    pub(crate) request: Request,
    pub(crate) response: Response,
    /// The head for the backend; kept until the backend answers, in case it must be sent again.
    pub(crate) request_head: Vec<u8>,
    pub(crate) upload: Pump,
    pub(crate) download: Pump,
    pub(crate) plan: Plan,
    /// The host in lower case, when it was not.
    pub(crate) host: String,
    /// The `Location` of a redirect.
    pub(crate) location: Vec<u8>,
    pub(crate) request_id: [u8; 36],
    /// Whose request it is.
    pub(crate) client: SocketAddr,
    pub(crate) record: Record,
    pub(crate) logged: bool,
    /// When the request's head was complete.
    pub(crate) started: Instant,
    pub(crate) flow: Flow,
    /// The connection to the backend, while there is one.
    pub(crate) upstream: Option<Upstream>,
    /// An answer of our own that is to be given.
    pub(crate) reply: Option<Reply>,
}

/// The place of no rule.
pub(crate) const NO_RULE: usize = usize::MAX;

/// What was decided about the request.
#[derive(Default, Clone)]
pub(crate) struct Plan {
    pub(crate) config: Option<Rc<LocalConfig>>,
    /// The place of the connection's listener among the port's.
    pub(crate) listener: usize,
    pub(crate) rule: usize,
    pub(crate) rule_index: usize,
    pub(crate) target: Option<usize>,
    /// The tick by which the answer must have ended, by the route.
    pub(crate) deadline: u32,
    /// The tick by which all must have ended, by the listener.
    pub(crate) stream_deadline: u32,
    /// The tick by which the request must be here, by the listener.
    pub(crate) upload_deadline: u32,
    /// The backend is offered to speak WebSocket.
    pub(crate) upgrade: bool,
    /// What the client's hello says of its software, if the listener wants to know.
    pub(crate) fingerprints: Option<Rc<Fingerprints>>,
    /// How long one attempt may take.
    pub(crate) attempt: Option<Duration>,
}

/// How far an exchange has come.
#[derive(Default)]
pub(crate) struct Flow {
    /// `100 Continue` is still to be sent, from this byte of it.
    pub(crate) interim: Option<usize>,
    pub(crate) uploaded: bool,
    /// The backend did not take all of the request.
    pub(crate) upload_broken: bool,
    /// The answer's head has been read and written anew.
    pub(crate) answered: bool,
    /// Bytes that came from the backend before the answer's body.
    pub(crate) heard: u64,
    /// 1xx answers so far.
    pub(crate) interims: u8,
    /// The client has sent more already, so that its end cannot be seen.
    pub(crate) blind: bool,
    /// The client is waited for, and may be given up if it moves too little while a limit is nearly full.
    pub(crate) slow: bool,
    /// The connection ends with this exchange.
    pub(crate) close: bool,
    /// The backend has agreed to speak WebSocket: bytes pass both ways.
    pub(crate) tunnel: bool,
    /// The tick by which this attempt must have ended.
    pub(crate) attempt_deadline: u32,
}

/// A worker's sets that are not in use.
#[derive(Default)]
pub(crate) struct Works {
    #[expect(clippy::vec_box, reason = "they travel by their address; a set is large")]
    free: RefCell<Vec<Box<Work>>>,
    pub(crate) spares: Spares,
}

impl Works {
    pub(crate) fn take(&self) -> Box<Work> {
        self.free.borrow_mut().pop().unwrap_or_else(|| Box::new(Work::new()))
    }

    pub(crate) fn give(&self, mut work: Box<Work>) {
        work.input.reset(&self.spares);
        work.output.reset(&self.spares);
        (work.plan.config, work.plan.fingerprints) = (None, None);
        (work.upstream, work.reply) = (None, None);
        for text in [&mut work.request_head, &mut work.location, &mut work.upload.head, &mut work.download.head] {
            text.clear();
            text.shrink_to(16 * 1024);
        }
        let mut free = self.free.borrow_mut();
        if free.len() < MAX_FREE {
            free.push(work);
        }
    }
}

impl Work {
    /// All bytes that were moved; grows with every step that an exchange makes.
    pub(crate) fn moved(&self) -> u64 {
        let (up, down) = (self.upload.traffic, self.download.traffic);
        up.0 + up.1 + down.0 + down.1 + self.flow.heard
    }

    fn new() -> Self {
        Self {
            input: Buffer::new(),
            output: Buffer::new(),
            request: Request::default(),
            response: Response::default(),
            request_head: Vec::with_capacity(1024),
            upload: Pump::default(),
            download: Pump::default(),
            plan: Plan::default(),
            host: String::new(),
            location: Vec::new(),
            request_id: [0; 36],
            client: SocketAddr::from(([0, 0, 0, 0], 0)),
            record: Record::default(),
            logged: false,
            started: Instant::now(),
            flow: Flow::default(),
            upstream: None,
            reply: None,
        }
    }
}
