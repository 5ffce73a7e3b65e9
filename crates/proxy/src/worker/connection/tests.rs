use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use weir_model::GatewayName;

use super::*;
use crate::access_log::LogBuffer;
use crate::config::{Port, PortConfig, PortKey, Socket, Versioned};
use crate::control::team_for_tests;
use crate::worker::listen;
use crate::worker::tcp::Tcp;

struct Nowhere;

impl crate::LogSink for Nowhere {
    fn write(&self, _: &[u8]) {}
}

/// A worker that does not run, a socket whose clients are treated so, and what listens there.
pub(crate) async fn listening(settings: weir_model::ClientSettings) -> (Rc<Worker>, Rc<LocalSocket>, TcpListener) {
    let team = team_for_tests();
    let worker = Rc::new(Worker::new(0, team.clone()));
    let cell = team.ledger.cell("ns/eg/http");
    let (table, rules, listeners) = (Arc::default(), Default::default(), vec![]);
    let (secure, clients) = (vec![], vec![Arc::new(crate::client::Client::new(&Arc::new(settings)))]);
    let config = PortConfig { table, rules, access_log: false, public_port: 80, cell: cell.clone(), secure, clients, listeners };
    let key = PortKey { gateway: GatewayName::new("ns", "eg"), container_port: 80 };
    let port = Port {
        key,
        stat_prefix: String::new(),
        config: Versioned::new(config),
        stats: crate::stats::per_worker(1),
        refused: 0.into(),
        held: 0.into(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let socket = Socket {
        id: 1,
        address,
        via_service: false,
        port: Arc::new(port),
        stats: crate::stats::per_worker(1),
        log: Arc::new(Nowhere),
        log_id: 1,
        listening: 0.into(),
    };
    let log = Rc::new(LogBuffer::new(Arc::new(Nowhere), team.logger.clone()));
    (worker, Rc::new(LocalSocket::new(Arc::new(socket), log)), listener)
}

/// A socket as the worker accepts it.
fn as_accepted(stream: TcpStream) -> Tcp {
    Tcp::new(stream.into_std().expect("a socket").into())
}

/// A worker that does not run, and a connection of it with its client.
pub(crate) async fn connection() -> (Rc<Worker>, Downstream, TcpStream) {
    let (worker, socket, listener) = listening(weir_model::ClientSettings::default()).await;
    let address = listener.local_addr().expect("an address");
    let cell = worker.team.ledger.cell("ns/eg/http");
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (stream, peer) = accepted.expect("accepts");
    let slot = worker.team.ledger.acquire(&cell).expect("no limit");
    let link = Link::new(worker.clone(), socket, peer, &cell);
    (worker, Downstream::new(Stream::Plain(as_accepted(stream)), slot, link), client.expect("connects"))
}

#[tokio::test]
async fn an_idle_connection_costs_little() {
    let (_worker, connection, _client) = connection().await;
    let size = size_of_val(&connection.serve());
    // It is the largest part of what an idle connection costs; the runtime's registration and task header are about 400 bytes more.
    assert!(size <= 416, "{size} bytes");
}

/// Connections through each way to end; and how many of them at once.
const MANY: usize = 10_000;
const AT_ONCE: usize = 500;
/// Fewer than the kernel keeps in the queue of a socket that is listened to as the tests do.
const QUEUED: usize = 100;

/// Sockets at this port that the kernel knows as open, at either end (`ESTABLISHED`, `CLOSE_WAIT`).
fn open_at(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let local = format!(":{port:04X}");
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|it| it.ends_with(&local)) && matches!(fields.nth(1), Some("01" | "08"))
    };
    table.lines().filter(is_open).count()
}

/// Ends many connections as `end` does, which gets one that is being served.
async fn end_many(end: impl AsyncFn(Downstream)) {
    let (worker, socket, listener) = listening(weir_model::ClientSettings::default()).await;
    let address = listener.local_addr().expect("an address");
    let cell = worker.team.ledger.cell("ns/eg/http");
    for _ in 0..MANY / AT_ONCE {
        let mut clients = Vec::with_capacity(AT_ONCE);
        for _ in 0..AT_ONCE {
            let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            let (client, (stream, peer)) = (client.expect("connects"), accepted.expect("accepts"));
            // So that no port is kept from the next one for a minute.
            client.set_zero_linger().expect("an option of sockets");
            clients.push(client);
            let slot = worker.team.ledger.acquire(&cell).expect("no limit");
            let link = Link::new(worker.clone(), socket.clone(), peer, &cell);
            end(Downstream::new(Stream::Plain(as_accepted(stream)), slot, link)).await;
        }
        assert_eq!((worker.team.ledger.cell_count("ns/eg/http"), worker.connections.get()), (0, 0));
        assert_eq!(open_at(address.port()), 0);
    }
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_gives_its_slot_back() {
    let panic = async |connection: Downstream| {
        let task = async move {
            let mut served = std::pin::pin!(connection.serve());
            poll_fn(|cx| Poll::Ready(served.as_mut().poll(cx).is_ready())).await;
            // A panic without the hook that would write ten thousand lines.
            std::panic::resume_unwind(Box::new("a bug"));
        };
        let ended = tokio::task::spawn_local(task).await;
        assert!(ended.expect_err("it panicked").is_panic());
    };
    LocalSet::new().run_until(end_many(panic)).await;
}

#[tokio::test]
async fn a_task_that_is_dropped_gives_its_slot_back() {
    let abort = async |connection: Downstream| {
        let task = tokio::task::spawn_local(connection.serve());
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.expect_err("it was served when it was dropped").is_cancelled());
    };
    LocalSet::new().run_until(end_many(abort)).await;
}

#[tokio::test]
async fn clients_that_are_gone_before_they_are_accepted_leave_nothing() {
    let (worker, socket, listener) = listening(weir_model::ClientSettings::default()).await;
    let address = listener.local_addr().expect("an address");
    let served = async {
        let accepting = listen::accept(worker.clone(), socket.clone(), listener.into_std().expect("a socket"));
        let accepting = tokio::task::spawn_local(accepting);
        for round in 1..=MANY / QUEUED {
            for _ in 0..QUEUED {
                // Nothing else runs on this thread meanwhile, so nobody accepts.
                let client = std::net::TcpStream::connect(address).expect("the kernel connects");
                socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("an option of sockets");
            }
            let came = || socket.socket.stats.iter().map(|it| it.connections.read()).sum::<u64>();
            while came() < (round * QUEUED) as u64 || worker.connections.get() > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(worker.team.ledger.cell_count("ns/eg/http"), 0);
        }
        accepting.abort();
    };
    LocalSet::new().run_until(served).await;
    assert_eq!(open_at(address.port()), 0);
}
