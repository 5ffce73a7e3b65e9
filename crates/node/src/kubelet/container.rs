//! The supervisor of one container: starts it, probes it, restarts it with growing delays, stops it with its pod.

mod prepare;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, Pod, Probe};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::env::Invocation;
use super::probe::{self, Counter, ProbeKind, Question, Schedule};
use super::status::{ContainerView, State, Terminated};
use crate::driver::Input;
use crate::events;
use crate::meta::ObjectName;
use crate::plan::Note;
use crate::workload::{ContainerContext, ContainerPort, Files, NodeBindPlan, Workload};

/// After the first restart, which comes at once: 10 s, doubled up to 5 min, forgotten after 10 min of running (kubelet's numbers).
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
const BACKOFF_FORGOTTEN: Duration = Duration::from_secs(600);
/// Between attempts to resolve an environment whose objects are missing.
const CONFIG_RETRY: Duration = Duration::from_secs(2);
/// A young container is asked more often than its period says until it is healthy for the first time: that makes starts quick.
const EAGER_FOR: Duration = Duration::from_secs(20);
const EAGER_FIRST: Duration = Duration::from_millis(5);
const EAGER_LONGEST: Duration = Duration::from_millis(100);
/// How long a started container may take to be ready before its start is reported without that. Most are quicker, and then one report says
/// both; the pods of an earlier process then do not flap.
const HOLD_REPORT: Duration = Duration::from_millis(100);
/// What a container answers while it is younger than this counts only if it is good.
const QUIET: Duration = Duration::from_secs(1);
/// A panic counts as this exit code, as a Rust process would have it.
const PANIC: i32 = 101;
const ABORTED: i32 = 137;

/// A container of a pod that runs.
pub(super) struct Container {
    pub(super) shared: Arc<Shared>,
    pub(super) pod: Arc<Pod>,
    pub(super) name: ObjectName,
    pub(super) uid: String,
    pub(super) index: usize,
    pub(super) spec: Spec,
    pub(super) ip: Ipv4Addr,
    pub(super) stop: CancellationToken,
    pub(super) grace: watch::Receiver<Duration>,
    pub(super) plan: watch::Receiver<NodeBindPlan>,
    pub(super) view: ContainerView,
}

/// What a probe found.
struct Verdict {
    kind: ProbeKind,
    healthy: bool,
}

impl Container {
    /// Runs until the pod is stopped or the container has ended for good.
    pub(super) async fn run(mut self) {
        if let State::Terminated(ended) = &self.view.state {
            // It ended with an earlier process, or before that.
            if !self.restarts_after(ended.exit_code) {
                return self.report().await;
            }
            self.retire();
            self.view.restarts += 1;
        }
        let Some(workload) = self.workload() else { return self.image_unknown().await };
        let mut crashes = 0;
        loop {
            let Some(files) = self.volumes().await else { return };
            let Some(invocation) = self.invocation().await else { return };
            let started = Instant::now();
            let Some(code) = self.run_once(&*workload, files, invocation).await else { return };
            if self.stop.is_cancelled() || !self.restarts_after(code) {
                return;
            }
            self.retire();
            crashes = if started.elapsed() >= BACKOFF_FORGOTTEN { 0 } else { crashes + 1 };
            if let Some(delay) = backoff(crashes)
                && !self.wait_out(delay).await
            {
                return;
            }
            self.view.restarts += 1;
        }
    }

    /// What ended is from now on what was before.
    fn retire(&mut self) {
        if let State::Terminated(ended) = std::mem::take(&mut self.view.state) {
            self.view.last = Some(ended);
        }
    }

    fn image(&self) -> &str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    fn workload(&self) -> Option<Arc<dyn Workload>> {
        self.shared.workloads.iter().find(|w| w.runs(self.image())).cloned()
    }

    fn restarts_after(&self, code: i32) -> bool {
        match self.pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref()) {
            Some("Never") => false,
            Some("OnFailure") => code != 0,
            _ => true,
        }
    }

    async fn report(&self) {
        if let State::Waiting { reason, .. } = &self.view.state {
            let text = if *reason == "ImagePullBackOff" { "trying and failing to pull image" } else { reason };
            self.shared.logs.set_waiting(&self.name, &self.spec.name, text);
        }
        let report = Input::Container { pod: self.name.clone(), uid: self.uid.clone(), index: self.index, view: self.view.clone() };
        // Nobody listens any more: the node is stopping.
        let _ = self.shared.inputs.send(report).await;
    }

    fn note(&self, warning: bool, reason: &'static str, message: String) {
        let mut about = events::reference("v1", "Pod", &self.pod.metadata);
        about.field_path = Some(format!("spec.containers{{{}}}", self.spec.name));
        self.shared.recorder.note(Note { about, component: "kubelet", warning, reason, message });
    }

    async fn wait(&mut self, reason: &'static str, message: String) {
        self.view.state = State::Waiting { reason, message: Some(message) };
        (self.view.ready, self.view.started) = (false, false);
        self.report().await;
    }

    async fn image_unknown(&mut self) {
        let image = self.image().to_owned();
        let known: Vec<&str> = self.shared.workloads.iter().flat_map(|w| w.images()).copied().collect();
        let cause = format!("this node runs built-in images only: {}", known.join(", "));
        self.note(true, "Failed", format!("Failed to pull image \"{image}\": {cause}"));
        self.note(true, "Failed", "Error: ErrImagePull".to_owned());
        self.note(false, "BackOff", format!("Back-off pulling image \"{image}\""));
        self.note(true, "Failed", "Error: ImagePullBackOff".to_owned());
        self.wait("ImagePullBackOff", format!("Back-off pulling image \"{image}\": ErrImagePull: {cause}")).await;
        self.stop.cancelled().await;
    }

    /// One run from start to end. The exit code; None if it could not even begin and the pod was stopped.
    async fn run_once(&mut self, workload: &dyn Workload, files: Files, invocation: Invocation) -> Option<i32> {
        let log = loop {
            match self.shared.logs.begin_run(&self.name, &self.uid, &self.spec.name) {
                Ok(log) => break log,
                Err(error) => self.wait("CreateContainerError", format!("cannot write the container's log: {error}")).await,
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(CONFIG_RETRY) => {}
            }
        };
        let stop = CancellationToken::new();
        self.note(false, "Pulled", format!("Container image \"{}\" already present on machine", self.image()));
        self.note(false, "Created", format!("Created container: {}", self.spec.name));
        let context = self.context(files, invocation, log.clone(), stop.clone());
        // A workload may panic before its first await, too.
        let task = tokio::spawn(std::panic::AssertUnwindSafe(workload.start(context)).catch_unwind());
        let since = Timestamp::now();
        self.view.id = Some(format!("weir://{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()));
        self.view.state = State::Running { since };
        self.view.started = self.spec.startup_probe.is_none();
        self.view.ready = self.view.started && self.spec.readiness_probe.is_none();
        if self.view.ready {
            self.report().await;
        }
        self.note(false, "Started", format!("Started container {}", self.spec.name));
        let code = self.watch_over(task, &stop).await;
        let message = (code != 0).then(|| last_lines(&self.shared, &self.name, &self.spec.name)).flatten();
        log.close();
        let ended = Terminated {
            exit_code: code,
            reason: if code == 0 { "Completed" } else { "Error" },
            message,
            started: since,
            finished: Timestamp::now(),
            id: self.view.id.clone().unwrap_or_default(),
        };
        (self.view.ready, self.view.started) = (false, false);
        self.view.state = State::Terminated(ended);
        self.report().await;
        Some(code)
    }

    fn context(&self, files: Files, invocation: Invocation, log: crate::PodLog, stop: CancellationToken) -> ContainerContext {
        let ports = self.spec.ports.iter().flatten().filter_map(|p| {
            let port = u16::try_from(p.container_port).ok()?;
            Some(ContainerPort { name: p.name.clone(), port, protocol: p.protocol.clone().unwrap_or_else(|| "TCP".to_owned()) })
        });
        ContainerContext {
            namespace: self.name.namespace.clone(),
            pod: self.name.name.clone(),
            container: self.spec.name.clone(),
            image: self.image().to_owned(),
            labels: self.pod.metadata.labels.clone().unwrap_or_default(),
            annotations: self.pod.metadata.annotations.clone().unwrap_or_default(),
            ip: self.ip,
            command: invocation.command,
            args: invocation.args,
            ports: ports.collect(),
            files,
            env: invocation.env,
            log,
            stop,
            bind_plan: self.plan.clone(),
            grace: *self.grace.borrow(),
        }
    }

    /// Waits for the end of a run, whoever brings it about.
    async fn watch_over(&mut self, mut task: RunTask, stop: &CancellationToken) -> i32 {
        let (verdicts, mut found) = mpsc::channel(4);
        let mut probers = JoinSet::new();
        if self.view.started {
            self.probe_steadily(&mut probers, &verdicts);
        } else {
            self.spawn_probe(&mut probers, ProbeKind::Startup, &verdicts);
        }
        let mut report_by = (!self.view.ready).then(|| Instant::now() + HOLD_REPORT);
        loop {
            tokio::select! {
                ended = &mut task => return exit_code(ended),
                () = tokio::time::sleep_until(report_by.unwrap_or_else(Instant::now)), if report_by.is_some() => {
                    report_by = None;
                    self.report().await;
                }
                () = self.stop.cancelled() => {
                    self.note(false, "Killing", format!("Stopping container {}", self.spec.name));
                    return self.end(task, stop).await;
                }
                Some(Verdict { kind, healthy }) = found.recv() => match (kind, healthy) {
                    (ProbeKind::Readiness, ready) => {
                        self.view.ready = ready;
                        report_by = None;
                        self.report().await;
                    }
                    (ProbeKind::Startup, true) => {
                        self.view.started = true;
                        self.view.ready = self.spec.readiness_probe.is_none();
                        if self.view.ready || report_by.is_none() {
                            report_by = None;
                            self.report().await;
                        }
                        self.probe_steadily(&mut probers, &verdicts);
                    }
                    (ProbeKind::Liveness, true) => {}
                    (ProbeKind::Liveness | ProbeKind::Startup, false) => {
                        let title = kind.title().to_lowercase();
                        self.note(false, "Killing", format!("Container {} failed {title} probe, will be restarted", self.spec.name));
                        return self.end(task, stop).await;
                    }
                },
            }
        }
    }

    /// Tells the container to end, and drops it when its grace has passed; a shorter grace may come meanwhile.
    async fn end(&mut self, mut task: RunTask, stop: &CancellationToken) -> i32 {
        stop.cancel();
        let told = Instant::now();
        loop {
            let until = told + *self.grace.borrow_and_update();
            tokio::select! {
                ended = &mut task => return exit_code(ended),
                () = tokio::time::sleep_until(until) => break,
                Ok(()) = self.grace.changed() => {}
            }
        }
        task.abort();
        let _ = task.await;
        ABORTED
    }

    fn probe_steadily(&self, probers: &mut JoinSet<()>, verdicts: &mpsc::Sender<Verdict>) {
        self.spawn_probe(probers, ProbeKind::Readiness, verdicts);
        self.spawn_probe(probers, ProbeKind::Liveness, verdicts);
    }

    fn spawn_probe(&self, probers: &mut JoinSet<()>, kind: ProbeKind, verdicts: &mpsc::Sender<Verdict>) {
        let probe: Option<&Probe> = match kind {
            ProbeKind::Startup => self.spec.startup_probe.as_ref(),
            ProbeKind::Readiness => self.spec.readiness_probe.as_ref(),
            ProbeKind::Liveness => self.spec.liveness_probe.as_ref(),
        };
        let Some(probe) = probe else { return };
        let (schedule, verdicts) = (Schedule::of(probe), verdicts.clone());
        let mut about = events::reference("v1", "Pod", &self.pod.metadata);
        about.field_path = Some(format!("spec.containers{{{}}}", self.spec.name));
        let recorder = self.shared.recorder.clone();
        let note =
            move |message| recorder.note(Note { about: about.clone(), component: "kubelet", warning: true, reason: "Unhealthy", message });
        match probe::question(probe, &self.spec, IpAddr::V4(self.ip)) {
            Ok(question) => drop(probers.spawn(run_probe(kind, schedule, question, verdicts, note))),
            // What cannot be asked must not keep the container from running; the Event says so.
            Err(problem) => {
                note(format!("{} probe is not run: {problem}", kind.title()));
                probers.spawn(async move {
                    let _ = verdicts.send(Verdict { kind, healthy: true }).await;
                });
            }
        }
    }

    /// Waits before a restart. Whether the restart is to happen.
    async fn wait_out(&mut self, delay: Duration) -> bool {
        let Container { spec, name, uid, .. } = &*self;
        let pod = format!("{}_{}({uid})", name.name, name.namespace);
        self.note(true, "BackOff", format!("Back-off restarting failed container {} in pod {pod}", spec.name));
        let message = format!("back-off {} restarting failed container={} pod={pod}", go_duration(delay), spec.name);
        self.wait("CrashLoopBackOff", message).await;
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(delay) => true,
        }
    }
}

type RunTask = JoinHandle<Result<i32, Box<dyn std::any::Any + Send>>>;

fn exit_code(ended: Result<Result<i32, Box<dyn std::any::Any + Send>>, tokio::task::JoinError>) -> i32 {
    match ended {
        Ok(Ok(code)) => code,
        Ok(Err(_)) => PANIC,
        Err(_) => ABORTED,
    }
}

/// The delay before the restart after so many crashes; none before the first.
fn backoff(crashes: u32) -> Option<Duration> {
    let doublings = crashes.checked_sub(2)?;
    Some(FIRST_BACKOFF.saturating_mul(1 << doublings.min(10)).min(LONGEST_BACKOFF))
}

/// `10s`, `2m40s`: as Go prints it.
fn go_duration(delay: Duration) -> String {
    let seconds = delay.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}

/// Asks on schedule and sends a verdict whenever it turns.
async fn run_probe(kind: ProbeKind, schedule: Schedule, question: Question, verdicts: mpsc::Sender<Verdict>, note: impl Fn(String)) {
    tokio::time::sleep(schedule.delay).await;
    let begun = Instant::now();
    let mut counter = Counter::new(schedule);
    let mut eager = EAGER_FIRST;
    let mut due = if counter.is_eager() { begun + QUIET.min(schedule.period) } else { begun };
    loop {
        let on_schedule = Instant::now() >= due;
        let answer = probe::ask(&question, schedule.timeout).await;
        // Questions between those of the schedule count only if the answer is good.
        if on_schedule || answer.is_ok() {
            if let Err(problem) = &answer {
                note(format!("{} probe failed: {problem}", kind.title()));
            }
            if let Some(healthy) = counter.take(answer.is_ok())
                && verdicts.send(Verdict { kind, healthy }).await.is_err()
            {
                return;
            }
        }
        if kind == ProbeKind::Startup && answer.is_ok() && !counter.is_eager() {
            return;
        }
        while on_schedule && due <= Instant::now() {
            due += schedule.period;
        }
        if counter.is_eager() && begun.elapsed() < EAGER_FOR {
            tokio::time::sleep_until(due.min(Instant::now() + eager)).await;
            eager = (eager * 2).min(EAGER_LONGEST);
        } else {
            tokio::time::sleep_until(due).await;
        }
    }
}

/// What a failed container said last, for `kubectl describe`.
fn last_lines(shared: &Shared, pod: &ObjectName, container: &str) -> Option<String> {
    use futures::StreamExt;
    let options = crate::LogOptions { tail_lines: Some(5), limit_bytes: Some(2048), ..Default::default() };
    let stream = shared.logs.open(&pod.namespace, &pod.name, Some(container), &options).ok()?;
    let pieces = stream.collect::<Vec<_>>().now_or_never()?;
    let text = String::from_utf8_lossy(&pieces.concat()).into_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
