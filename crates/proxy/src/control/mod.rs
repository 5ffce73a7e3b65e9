//! The control thread: owns the Model, tells the workers, and answers the controller.

mod bind;
mod changes;
mod compile;
mod kernel;
mod refusals;
mod resolve;
mod shortage;
mod state;
mod storms;
mod view;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;
use weir_limits::Ledger;
use weir_model::{Answer, GatewayName, Publish, Report};

pub(crate) use bind::BACKLOG;
pub(crate) use compile::HALL;
pub(crate) use refusals::{Refusals, Refusee};
use state::Control;
pub(crate) use view::{Readiness, View};

use crate::access_log::Logger;
use crate::ceiling::{self, Means};
use crate::mailbox::Mailbox;
use crate::process::Process;
use crate::worker::{self, HANDOFFS, Load, Member, Order, Team};
use crate::{BindPlan, LogSink, Settings, admin};

/// How often limits are looked at while one of them refuses, and failed binds while there are any.
const BUSY: Duration = Duration::from_millis(100);
/// What the ledger calls the limit over all connections.
pub(crate) const CEILING: &str = "process";
/// How often numbers are reported.
const CALM: Duration = Duration::from_secs(1);

/// What the control thread is told.
pub(crate) enum Command {
    /// A controller's line.
    Connect { publishes: mpsc::Receiver<Publish>, answers: mpsc::Sender<Answer> },
    /// Serve a gateway.
    Attach { id: u64, gateway: GatewayName, plan: watch::Receiver<BindPlan>, log: Arc<dyn LogSink> },
    /// Stop serving it.
    Detach { id: u64, drain: Duration, done: Option<oneshot::Sender<()>> },
    /// Stop serving all.
    DrainAll { timeout: Duration, done: oneshot::Sender<()> },
    /// End.
    Stop,
}

/// What other threads see of the control thread.
pub(crate) struct Shared {
    pub(crate) commands: Mailbox<Command>,
    pub(crate) view: ArcSwap<View>,
    pub(crate) team: Arc<Team>,
    pub(crate) started: Instant,
    ids: AtomicU64,
}

impl Shared {
    /// A number that no other attachment or socket has.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// How things stand now.
    pub(crate) fn report(&self) -> Report {
        self.view.load().report(&self.team.ledger)
    }
}

/// Starts all threads.
pub(crate) fn start(settings: Settings) -> io::Result<Arc<Shared>> {
    let (team, handoffs) = team(settings)?;
    let shared =
        Arc::new(Shared { commands: Mailbox::new(), view: ArcSwap::default(), team, started: Instant::now(), ids: AtomicU64::new(1) });
    let admin = admin::start(shared.clone())?;
    for (index, handoffs) in handoffs.into_iter().enumerate() {
        worker::start(index, shared.team.clone(), handoffs)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let control = shared.clone();
    std::thread::Builder::new().name("weir-control".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, run(control, admin));
    })?;
    Ok(shared)
}

fn team(settings: Settings) -> io::Result<(Arc<Team>, Vec<mpsc::Receiver<worker::Handoff>>)> {
    let (members, handoffs) = (0..settings.workers.max(1))
        .map(|_| {
            let (handoffs, receiver) = mpsc::channel(HANDOFFS);
            (Member { orders: Mailbox::new(), handoffs, load: Load::default() }, receiver)
        })
        .unzip();
    let ledger = Ledger::new();
    let ceiling = ceiling::derive(Means::look(), settings.backends(), settings.max_connections);
    tracing::info!(connections = ceiling.value, derivation = %ceiling.derivation, "the most connections that this process takes");
    ledger.set_ceiling(CEILING.into(), ceiling.value);
    let process = Process::default();
    process.reserve_from(ceiling.reserved_from);
    let hall = ledger.cell(HALL);
    let team = Team { settings, ledger, hall, logger: Logger::start()?, refusals: Arc::default(), process, members };
    Ok((Arc::new(team), handoffs))
}

/// A team of one that does not run.
#[cfg(test)]
pub(crate) fn team_for_tests() -> Arc<Team> {
    team(Settings { workers: 1, ..Settings::default() }).expect("a log thread").0
}

async fn run(shared: Arc<Shared>, admin: Arc<admin::Orders>) {
    let control = Rc::new(RefCell::new(Control::new(shared.clone(), admin.clone())));
    let (mut told, mut tidied) = (Instant::now(), Instant::now());
    loop {
        let pause = control.borrow_mut().pause();
        let mut only_storms = false;
        tokio::select! {
            commands = shared.commands.take() => {
                for command in commands {
                    if matches!(command, Command::Stop) {
                        admin.stop();
                        return shared.team.members.iter().for_each(|member| member.orders.send(Order::Stop));
                    }
                    carry_out(&control, command);
                }
            }
            () = shared.team.refusals.noticed() => {}
            () = shared.team.process.freed() => only_storms = true,
            () = tokio::time::sleep(pause) => only_storms = pause == storms::WATCH,
        }
        // In a storm this thread wakes up every few milliseconds; the rest need not be looked at as often.
        if only_storms && told.elapsed() < BUSY {
            continue;
        }
        told = Instant::now();
        let mut control = control.borrow_mut();
        control.retry_binds();
        if told.duration_since(tidied) >= CALM {
            tidied = told;
            control.tidy();
        }
        control.tell();
    }
}

fn carry_out(control: &Rc<RefCell<Control>>, command: Command) {
    match command {
        Command::Connect { publishes, answers } => {
            control.borrow_mut().connected(answers.clone());
            tokio::task::spawn_local(obey(control.clone(), publishes, answers));
        }
        Command::Attach { id, gateway, plan, log } => {
            control.borrow_mut().attach(id, gateway, log);
            tokio::task::spawn_local(follow(control.clone(), id, plan));
        }
        Command::Detach { id, drain, done } => drop(tokio::task::spawn_local(detach(control.clone(), vec![id], drain, done))),
        Command::DrainAll { timeout, done } => {
            let ids = control.borrow().attachments();
            tokio::task::spawn_local(detach(control.clone(), ids, timeout, Some(done)));
        }
        Command::Stop => {}
    }
}

/// Takes what a controller publishes, and acknowledges it.
async fn obey(control: Rc<RefCell<Control>>, mut publishes: mpsc::Receiver<Publish>, answers: mpsc::Sender<Answer>) {
    while let Some(publish) = publishes.recv().await {
        let acknowledgement = Control::publish(&control, publish);
        if answers.send(Answer::Acknowledgement(acknowledgement)).await.is_err() {
            return;
        }
        control.borrow_mut().tell();
    }
}

/// Follows an attachment's bind plan.
async fn follow(control: Rc<RefCell<Control>>, id: u64, mut plan: watch::Receiver<BindPlan>) {
    loop {
        let now = plan.borrow_and_update().clone();
        if !control.borrow_mut().plan(id, now) || plan.changed().await.is_err() {
            return;
        }
    }
}

/// Drains attachments and forgets them.
async fn detach(control: Rc<RefCell<Control>>, ids: Vec<u64>, drain: Duration, done: Option<oneshot::Sender<()>>) {
    let mut drained = control.borrow_mut().drain(&ids, drain);
    // Every worker drops its end when the last connection is gone.
    while drained.recv().await.is_some() {}
    control.borrow_mut().forget(&ids);
    if let Some(done) = done {
        // Nobody may be waiting any more.
        let _ = done.send(());
    }
}
