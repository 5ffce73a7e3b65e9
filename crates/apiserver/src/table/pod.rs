//! Cells of pods: one word for the state of all their containers.

use jiff::Timestamp;
use serde_json::Value;

use super::{age, created, list, name, number, or, text};

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(object);
    let (spec, status) = (&object["spec"], &object["status"]);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, age::human(now.as_second() - last.as_second()))
        }
        _ => summary.restarts.to_string(),
    };
    let address = list(status, "podIPs").first().map(|ip| text(ip, "ip")).unwrap_or_default();
    vec![
        name(object),
        format!("{}/{}", summary.ready, summary.containers).into(),
        summary.reason.into(),
        restarts.into(),
        created(object, now),
        or(or(address, text(status, "podIP")), "<none>").into(),
        or(text(spec, "nodeName"), "<none>").into(),
        or(text(status, "nominatedNodeName"), "<none>").into(),
        readiness_gates(object).into(),
    ]
}

fn readiness_gates(object: &Value) -> String {
    let gates = list(&object["spec"], "readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let conditions = list(&object["status"], "conditions");
    let holds = |gate: &&Value| conditions.iter().any(|c| text(c, "type") == text(gate, "conditionType") && text(c, "status") == "True");
    format!("{}/{}", gates.iter().filter(holds).count(), gates.len())
}

struct Summary {
    reason: String,
    ready: usize,
    containers: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

fn finished(container: &Value) -> Option<Timestamp> {
    text(&container["lastState"]["terminated"], "finishedAt").parse().ok()
}

fn condition_holds(object: &Value, kind: &str) -> bool {
    list(&object["status"], "conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
}

/// Why a container ended: its reason, else its signal, else its exit code.
fn ended(terminated: &Value) -> String {
    match (text(terminated, "reason"), number(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", number(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

impl Summary {
    fn of(object: &Value) -> Self {
        let (spec, status) = (&object["spec"], &object["status"]);
        let phase = text(status, "phase");
        let mut summary = Self {
            reason: or(text(status, "reason"), phase).to_owned(),
            ready: 0,
            containers: list(spec, "containers").len(),
            restarts: 0,
            last_restart: None,
        };
        let gated = |c: &Value| text(c, "type") == "PodScheduled" && text(c, "reason") == "SchedulingGated";
        if list(status, "conditions").iter().any(gated) {
            summary.reason = "SchedulingGated".to_owned();
        }
        let initializing = summary.init_containers(object);
        if !initializing || condition_holds(object, "Initialized") {
            summary.main_containers(object);
        }
        if !object["metadata"]["deletionTimestamp"].is_null() {
            if text(status, "reason") == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    fn count_restarts(&mut self, container: &Value) {
        self.restarts += number(container, "restartCount");
        self.last_restart = self.last_restart.max(finished(container));
    }

    /// Counts the init containers; whether one of them is still at work or has failed.
    fn init_containers(&mut self, object: &Value) -> bool {
        let specs = list(&object["spec"], "initContainers");
        let sidecar = |name: &str| specs.iter().any(|c| text(c, "name") == name && text(c, "restartPolicy") == "Always");
        self.containers += specs.iter().filter(|c| text(c, "restartPolicy") == "Always").count();
        for (index, container) in list(&object["status"], "initContainerStatuses").iter().enumerate() {
            self.count_restarts(container);
            let state = &container["state"];
            let waiting = text(&state["waiting"], "reason");
            if state["terminated"].is_object() && number(&state["terminated"], "exitCode") == 0 {
                continue;
            }
            if sidecar(text(container, "name")) && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            self.reason = if state["terminated"].is_object() {
                format!("Init:{}", ended(&state["terminated"]))
            } else if !matches!(waiting, "" | "PodInitializing") {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            return true;
        }
        false
    }

    fn main_containers(&mut self, object: &Value) {
        // Once the pod is up, only restarts of what keeps running count.
        (self.restarts, self.last_restart) = (0, None);
        let specs = list(&object["spec"], "initContainers");
        for container in list(&object["status"], "initContainerStatuses") {
            if specs.iter().any(|c| text(c, "name") == text(container, "name") && text(c, "restartPolicy") == "Always") {
                self.count_restarts(container);
            }
        }
        let (mut running, mut error) = (false, String::new());
        for container in list(&object["status"], "containerStatuses").iter().rev() {
            self.count_restarts(container);
            let state = &container["state"];
            let waiting = text(&state["waiting"], "reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if state["terminated"].is_object() {
                self.reason = ended(&state["terminated"]);
                if number(&state["terminated"], "exitCode") != 0 {
                    error.clone_from(&self.reason);
                }
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && condition_holds(object, "Ready") {
                self.reason = "Running".to_owned();
            } else if !error.is_empty() {
                self.reason = error;
            } else if running {
                self.reason = "NotReady".to_owned();
            }
        }
    }
}
