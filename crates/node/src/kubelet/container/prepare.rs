//! What a container needs before it can start: its volumes and its environment, both made of objects that may not be there yet.

use std::time::Duration;

use super::super::env::{self, Invocation, Own, Sources};
use super::super::status::State;
use super::super::volume;
use super::{CONFIG_RETRY, Container};
use crate::events;
use crate::plan::Note;
use crate::workload::Files;

/// Before the second attempt to set up volumes; doubled up to [`CONFIG_RETRY`].
const FIRST_MOUNT_RETRY: Duration = Duration::from_millis(250);

impl Container {
    /// What the volumes hold, as soon as everything they refer to exists. None: the pod is stopped first.
    pub(super) async fn volumes(&mut self) -> Option<Files> {
        let pod = self.pod.clone();
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
        let mut retry = FIRST_MOUNT_RETRY;
        loop {
            let sources = volume::Sources::read(&self.shared.client, &self.name.namespace, volumes).await;
            let own = Own { pod: &pod, ip: self.ip, host_ip: self.shared.host_ip };
            let problem = match sources.map(|sources| volume::files(&self.spec, volumes, &own, &sources)) {
                Ok(Ok(files)) => return Some(files),
                Ok(Err(problem)) => problem,
                Err(error) => error.to_string(),
            };
            let about = events::reference("v1", "Pod", &pod.metadata);
            self.shared.recorder.note(Note { about, component: "kubelet", warning: true, reason: "FailedMount", message: problem });
            self.view.state = State::Waiting { reason: "ContainerCreating", message: None };
            self.report().await;
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(retry) => {}
            }
            retry = CONFIG_RETRY.min(retry * 2);
        }
    }

    /// The environment, command and arguments, as soon as everything they refer to exists. None: the pod is stopped first.
    pub(super) async fn invocation(&mut self) -> Option<Invocation> {
        loop {
            let sources = Sources::read(&self.shared.client, &self.name.namespace, &self.spec).await;
            let own = Own { pod: &self.pod, ip: self.ip, host_ip: self.shared.host_ip };
            let problem = match sources.map(|s| env::resolve(&self.spec, &own, &s)) {
                Ok(Ok(invocation)) => return Some(invocation),
                Ok(Err(problem)) => problem,
                Err(error) => error.to_string(),
            };
            self.note(true, "Failed", format!("Error: {problem}"));
            self.wait("CreateContainerConfigError", problem).await;
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(CONFIG_RETRY) => {}
            }
        }
    }
}
