//! How a Job stands: its conditions, and what ends it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobSpec, JobStatus};

use super::pods::Census;
use super::{View, is_suspended, note};
use crate::meta::time;
use crate::plan::{Note, Plan};

/// How a Job ends. It is first announced, then concluded when its last pod has ended.
///
/// ```text
///  SuccessCriteriaMet ──► Complete
///  FailureTarget      ──► Failed
/// ```
pub(super) struct Outcome {
    succeeded: bool,
    reason: String,
    message: String,
}

fn holds<'a>(status: &'a JobStatus, type_: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == type_ && condition.status == "True")
}

/// When a Job ended, if it has.
pub(super) fn ended_at(status: &JobStatus) -> Option<Timestamp> {
    let condition = holds(status, "Complete").or_else(|| holds(status, "Failed"))?;
    Some(condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0))
}

/// Why the Job is over, if it is: announced before, failed too often, or active for too long.
pub(super) fn outcome(view: &View<'_>, spec: &JobSpec, status: &JobStatus, census: &Census<'_>, plan: &mut Plan) -> Option<Outcome> {
    let announced = |type_, succeeded| {
        let condition = holds(status, type_)?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Some(Outcome { succeeded, reason: text(&condition.reason), message: text(&condition.message) })
    };
    if let Some(outcome) = announced("SuccessCriteriaMet", true).or_else(|| announced("FailureTarget", false)) {
        return Some(outcome);
    }
    let failed = |reason: &str, message: &str| Some(Outcome { succeeded: false, reason: reason.to_owned(), message: message.to_owned() });
    let limit = spec.backoff_limit.unwrap_or(6);
    let on_failure = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()) == Some("OnFailure");
    let restarted_too_often = on_failure && if limit == 0 { census.restarts > 0 } else { census.restarts >= limit };
    if census.failed > limit || restarted_too_often {
        return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    let (Some(deadline), Some(started), false) = (spec.active_deadline_seconds, &status.start_time, is_suspended(spec)) else {
        return None;
    };
    let left = started.0.as_second().saturating_add(deadline) - view.now.as_second();
    if left <= 0 {
        return failed("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    plan.again(Duration::from_secs(left.unsigned_abs()));
    None
}

/// Whether enough pods have succeeded. `active` are those that are still to run on.
pub(super) fn success(spec: &JobSpec, census: &Census<'_>, active: i32) -> Option<Outcome> {
    let enough = match spec.completions {
        None => census.succeeded > 0,
        Some(completions) => census.succeeded >= completions,
    };
    (enough && active == 0).then(|| Outcome {
        succeeded: true,
        reason: "CompletionsReached".to_owned(),
        message: "Reached expected number of succeeded pods".to_owned(),
    })
}

impl Outcome {
    /// Says how the Job is going to end.
    pub(super) fn announce(&self, status: &mut JobStatus, now: Timestamp) {
        let type_ = if self.succeeded { "SuccessCriteriaMet" } else { "FailureTarget" };
        set(status, type_, "True", &self.reason, &self.message, now);
    }

    /// Says that the Job has ended.
    pub(super) fn conclude(&self, view: &View<'_>, status: &mut JobStatus) -> Note {
        if self.succeeded {
            set(status, "Complete", "True", &self.reason, &self.message, view.now);
            status.completion_time = Some(time(view.now));
            return note(view.job, false, "Completed", "Job completed".to_owned());
        }
        set(status, "Failed", "True", &self.reason, &self.message, view.now);
        // The only two that this controller knows; another can be what somebody else announced.
        let reason = if self.reason == "DeadlineExceeded" { "DeadlineExceeded" } else { "BackoffLimitExceeded" };
        note(view.job, true, reason, self.message.clone())
    }
}

/// Says that the Job is suspended, or no longer is. Its time begins anew when it goes on.
pub(super) fn suspension(view: &View<'_>, spec: &JobSpec, status: &mut JobStatus, plan: &mut Plan) {
    let was = holds(status, "Suspended").is_some();
    if is_suspended(spec) && !was {
        set(status, "Suspended", "True", "JobSuspended", "Job suspended", view.now);
        status.start_time = None;
        plan.notes.push(note(view.job, false, "Suspended", "Job suspended".to_owned()));
    } else if !is_suspended(spec) && was {
        set(status, "Suspended", "False", "JobResumed", "Job resumed", view.now);
        status.start_time = Some(time(view.now));
        plan.notes.push(note(view.job, false, "Resumed", "Job resumed".to_owned()));
    }
}

fn set(status: &mut JobStatus, type_: &str, value: &str, reason: &str, message: &str, now: Timestamp) {
    let conditions = status.conditions.get_or_insert_default();
    if conditions.iter().any(|condition| condition.type_ == type_ && condition.status == value) {
        return;
    }
    let condition = JobCondition {
        type_: type_.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(time(now)),
        last_transition_time: Some(time(now)),
    };
    match conditions.iter_mut().find(|known| known.type_ == type_) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}
