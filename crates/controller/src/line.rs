//! The line to the data plane with its channel: opened, written to, and opened again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_model::{Acknowledgement, Answer, Model, Publish, Report};

use crate::Connect;
use crate::backoff::Backoff;
use crate::link::{Link, Verdict};

/// After the first break.
const FIRST: Duration = Duration::from_millis(20);
/// The longest wait between two attempts.
const CEILING: Duration = Duration::from_secs(5);
/// A data plane that has not answered by then is taken for lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long statuses wait for an answer and the report that follows it, so that one write says both that a change was accepted and that it
/// is in force.
const HOLD: Duration = Duration::from_millis(100);
/// The same at the start, when nothing is known of the data plane yet: what was Programmed before a restart must not be called otherwise
/// just because nobody has asked.
const FIRST_HOLD: Duration = Duration::from_secs(2);

/// The line.
pub(crate) struct Line {
    connect: Connect,
    link: Link,
    channel: Option<(mpsc::Sender<Publish>, mpsc::Receiver<Answer>)>,
    backoff: Backoff,
    reopen_at: Option<Instant>,
    sent_at: Instant,
    /// The last of our versions that a report was about.
    reported: Option<u64>,
}

impl Line {
    /// A line that opens when there is something to say.
    pub(crate) fn new(connect: Connect, epoch: u64) -> Self {
        Self {
            connect,
            link: Link::new(epoch),
            channel: None,
            backoff: Backoff::new(FIRST, CEILING),
            reopen_at: None,
            sent_at: Instant::now(),
            reported: None,
        }
    }

    /// The next answer; none: the line broke. Pending while it is closed. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Option<Answer> {
        match &mut self.channel {
            Some((_, answers)) => answers.recv().await,
            None => std::future::pending().await,
        }
    }

    /// The line broke, or is given up.
    pub(crate) fn broke(&mut self, now: Instant) {
        self.channel = None;
        self.link.lost();
        self.reopen_at = Some(now + self.backoff.next());
    }

    /// Sends what is missing for `model` to get in force, opening the line if need be.
    pub(crate) fn publish(&mut self, model: &Arc<Model>, now: Instant) {
        if self.link.waiting() && self.sent_at + ANSWER_TIMEOUT <= now {
            tracing::warn!("the data plane does not answer; trying again");
            self.broke(now);
        }
        if self.channel.is_none() {
            if self.reopen_at.is_some_and(|at| at > now) {
                return;
            }
            self.reopen_at = None;
            self.channel = Some((self.connect)());
        }
        let Some(publish) = self.link.next(model) else { return };
        let Some((sender, _)) = &self.channel else { return };
        self.sent_at = now;
        tracing::debug!(version = publish.version, base = publish.base, put = publish.delta.put.len(), "publishing");
        // One message is under way at a time, so a full channel is as good as a closed one.
        if sender.try_send(publish).is_err() {
            self.broke(now);
        }
    }

    /// Takes an acknowledgement. A refusal closes the line; it is opened again after a while.
    pub(crate) fn acknowledge(&mut self, acknowledgement: &Acknowledgement, now: Instant) -> Verdict {
        let verdict = self.link.answer(acknowledgement);
        match &verdict {
            Verdict::Stale => {}
            Verdict::Applied => self.backoff.reset(),
            Verdict::Refused(_) => self.broke(now),
        }
        verdict
    }

    /// The Model in force and its version.
    pub(crate) fn applied(&self) -> Option<&(u64, Arc<Model>)> {
        self.link.applied()
    }

    /// The data plane's state while a version is in force.
    pub(crate) fn reported(&mut self, report: &Report) {
        if report.epoch == self.link.epoch() {
            self.reported = Some(report.version);
        }
    }

    /// Until when statuses should wait for news.
    pub(crate) fn hold(&self) -> Option<Instant> {
        let Some(reported) = self.reported else { return Some(self.sent_at + FIRST_HOLD) };
        let untold = self.applied().is_some_and(|(version, _)| *version > reported);
        (self.link.waiting() || untold).then(|| self.sent_at + HOLD)
    }

    /// When there is something to do without an answer.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.reopen_at.or_else(|| self.link.waiting().then(|| self.sent_at + ANSWER_TIMEOUT))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Ends = (mpsc::Receiver<Publish>, mpsc::Sender<Answer>);

    /// A data plane by hand: the other ends of every channel that was opened.
    fn by_hand() -> (Connect, Arc<Mutex<Vec<Ends>>>) {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let kept = ends.clone();
        let connect: Connect = Arc::new(move || {
            let (publish, published) = mpsc::channel(4);
            let (answer, answers) = mpsc::channel(4);
            kept.lock().expect("not poisoned").push((published, answer));
            (publish, answers)
        });
        (connect, ends)
    }

    fn ack(publish: &Publish, refused: Option<&str>) -> Acknowledgement {
        Acknowledgement { epoch: publish.epoch, version: publish.version, refused: refused.map(str::to_owned) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_reopens_the_line_and_resends() {
        let (connect, ends) = by_hand();
        let model = Arc::new(Model::default());
        let mut line = Line::new(connect, 1);
        line.publish(&model, Instant::now());
        let (mut published, _answer) = ends.lock().expect("not poisoned").pop().expect("opened");
        let first = published.recv().await.expect("published");
        assert!(line.hold().is_some());
        assert_eq!(line.acknowledge(&ack(&first, Some("older")), Instant::now()), Verdict::Refused("older".into()));
        line.publish(&model, Instant::now());
        assert!(ends.lock().expect("not poisoned").is_empty(), "not at once");
        tokio::time::sleep_until(line.wake().expect("a time")).await;
        line.publish(&model, Instant::now());
        let (mut published, _answer) = ends.lock().expect("not poisoned").pop().expect("opened again");
        let second = published.recv().await.expect("published");
        assert_eq!((second.version, second.base), (2, 0));
        assert_eq!(line.acknowledge(&ack(&second, None), Instant::now()), Verdict::Applied);
        assert!(line.wake().is_none() && line.hold().is_some(), "how its listeners are is not known yet");
        line.reported(&Report { epoch: 1, version: 2, ..Report::default() });
        assert!(line.hold().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_data_plane_is_left() {
        let (connect, ends) = by_hand();
        let model = Arc::new(Model::default());
        let mut line = Line::new(connect, 1);
        line.publish(&model, Instant::now());
        for _ in 0..2 {
            tokio::time::sleep_until(line.wake().expect("a time")).await;
            line.publish(&model, Instant::now());
        }
        assert_eq!(ends.lock().expect("not poisoned").len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_line_is_noticed() {
        let (connect, ends) = by_hand();
        let mut line = Line::new(connect, 1);
        line.publish(&Arc::new(Model::default()), Instant::now());
        ends.lock().expect("not poisoned").clear();
        assert!(line.recv().await.is_none());
    }
}
