//! Which objects to create, patch and delete, without doing it: wanted and found objects side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use weir_model::GatewayName;
use weir_translate::{ProxySpec, ProxyState};

use super::spec::Template;
use crate::backoff::Backoff;
use crate::json::three_way;
use crate::version::is_older_state;

/// After a failed request.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The longest wait between failed requests.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// After a successful one, so that what the watch says next is heard before anything is done again.
const SETTLE: Duration = Duration::from_millis(50);

/// What kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ItemKind {
    /// Runs the proxies.
    Deployment,
    /// Gives them an address.
    Service,
}

/// One object, by name; all are in the controller's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    pub(crate) name: String,
}

/// What to do with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    /// Create it.
    Create(Value),
    /// Merge this into it.
    Patch(Value),
    /// Delete the object with this uid.
    Delete(String),
}

/// What became of an [`Op`].
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The object is like this now.
    Stored(Value),
    /// It is gone.
    Gone,
    /// Somebody else has an object of that name.
    Foreign,
    /// It failed.
    Failed(String),
}

#[derive(Debug)]
struct Wanted {
    gateway: GatewayName,
    /// None: what is there stays as it is, and nothing is made.
    object: Option<Value>,
}

#[derive(Debug)]
struct Pace {
    busy: bool,
    /// What was wanted when the request that is under way was made: something else may be by the time of its answer.
    sent: Option<Value>,
    not_before: Option<Instant>,
    backoff: Backoff,
}

/// All objects that the controller makes.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    /// Whether it was ever said what is wanted. Until then nothing is done: what is found at a start must not be taken for unwanted.
    told: bool,
    wanted: BTreeMap<Item, Wanted>,
    found: BTreeMap<Item, Value>,
    /// What was applied last, so that what is not wanted any more can be told from what others added.
    applied: BTreeMap<Item, Value>,
    /// Patches that changed nothing for good: the server, or somebody at it, makes something else of what it is given. Sending them again
    /// would not help.
    futile: BTreeMap<Item, Value>,
    paces: BTreeMap<Item, Pace>,
    dirty: BTreeSet<Item>,
}

impl Fleet {
    /// An own object was seen, by a watch or in an answer; whichever is newer counts.
    pub(crate) fn observe(&mut self, item: Item, object: Value) {
        if self.found.get(&item).is_some_and(|found| is_older_state(&object, found)) {
            return;
        }
        self.dirty.insert(item.clone());
        self.found.insert(item, object);
    }

    /// An own object is gone.
    pub(crate) fn forget(&mut self, item: &Item) {
        if self.found.remove(item).is_some() {
            self.applied.remove(item);
            self.futile.remove(item);
            self.dirty.insert(item.clone());
        }
    }

    /// This is what should be there now, all of it: what is not wanted is deleted.
    pub(crate) fn want(&mut self, proxies: &[ProxySpec], template: &Template) {
        let mut wanted = BTreeMap::new();
        for proxy in proxies {
            let serves = !proxy.ports.is_empty();
            for kind in [ItemKind::Deployment, ItemKind::Service] {
                let object = serves.then(|| match kind {
                    ItemKind::Deployment => template.deployment(proxy),
                    ItemKind::Service => template.service(proxy),
                });
                wanted.insert(Item { kind, name: proxy.name.clone() }, Wanted { gateway: proxy.gateway.clone(), object });
            }
        }
        let changed = wanted.iter().filter(|(item, it)| self.wanted.get(*item).map(|old| &old.object) != Some(&it.object));
        self.dirty.extend(changed.map(|(item, _)| item.clone()));
        self.dirty.extend(self.found.keys().filter(|item| !wanted.contains_key(*item)).cloned());
        self.wanted = wanted;
        self.told = true;
    }

    /// What to do now, at most `slots` things. Each must be answered with [`Self::done`].
    pub(crate) fn due(&mut self, now: Instant, slots: usize) -> Vec<(Item, Op)> {
        let mut ops = Vec::new();
        if !self.told {
            return ops;
        }
        for item in self.dirty.iter().cloned().collect::<Vec<_>>() {
            if ops.len() >= slots {
                break;
            }
            if self.paces.get(&item).is_some_and(|it| it.busy || it.not_before.is_some_and(|at| at > now)) {
                continue;
            }
            self.dirty.remove(&item);
            let Some(op) = self.op(&item) else { continue };
            let fresh = || Pace { busy: false, sent: None, not_before: None, backoff: Backoff::new(FIRST_RETRY, LAST_RETRY) };
            let pace = self.paces.entry(item.clone()).or_insert_with(fresh);
            pace.busy = true;
            pace.sent = self.wanted.get(&item).and_then(|it| it.object.clone());
            ops.push((item, op));
        }
        ops
    }

    /// What became of a request.
    pub(crate) fn done(&mut self, item: &Item, outcome: Outcome, now: Instant) {
        let Some(pace) = self.paces.get_mut(item) else { return };
        pace.busy = false;
        let sent = pace.sent.take();
        let wait = match &outcome {
            Outcome::Stored(_) | Outcome::Gone => {
                pace.backoff.reset();
                SETTLE
            }
            Outcome::Foreign | Outcome::Failed(_) => pace.backoff.next(),
        };
        pace.not_before = Some(now + wait);
        match outcome {
            Outcome::Stored(object) => {
                let newest = self.found.get(item).is_none_or(|found| !is_older_state(&object, found));
                self.observe(item.clone(), object);
                let current = self.wanted.get(item).and_then(|it| it.object.as_ref()) == sent.as_ref();
                if let Some(sent) = sent {
                    self.applied.insert(item.clone(), sent);
                }
                match self.patch(item) {
                    Some(left) if newest && current => drop(self.futile.insert(item.clone(), left)),
                    _ => drop(self.futile.remove(item)),
                }
            }
            Outcome::Gone => {
                self.found.remove(item);
                self.applied.remove(item);
                self.futile.remove(item);
            }
            Outcome::Foreign | Outcome::Failed(_) => {}
        }
        if self.wanted.contains_key(item) || self.found.contains_key(item) {
            self.dirty.insert(item.clone());
        } else {
            self.paces.remove(item);
        }
    }

    /// When there may be something to do; none: not until something changes.
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        if !self.told {
            return None;
        }
        let ready = |item: &Item| match self.paces.get(item) {
            None => Some(now),
            Some(pace) if pace.busy => None,
            Some(pace) => Some(pace.not_before.unwrap_or(now)),
        };
        self.dirty.iter().filter_map(ready).min()
    }

    /// The addresses that the Gateways' Services got.
    pub(crate) fn addresses(&self, embedded: bool) -> BTreeMap<GatewayName, Vec<String>> {
        let services = self.wanted.iter().filter(|(item, _)| item.kind == ItemKind::Service);
        let found = services.filter_map(|(item, wanted)| Some((wanted.gateway.clone(), addresses(self.found.get(item)?, embedded))));
        found.filter(|(_, addresses)| !addresses.is_empty()).collect()
    }

    /// How many proxies each Gateway has.
    pub(crate) fn proxies(&self) -> BTreeMap<GatewayName, ProxyState> {
        let deployments = self.wanted.iter().filter(|(item, _)| item.kind == ItemKind::Deployment);
        let number =
            |object: &Value, path: &str| object.pointer(path).and_then(Value::as_u64).and_then(|it| it.try_into().ok()).unwrap_or(0);
        let state =
            |it: &Value| ProxyState { replicas: number(it, "/status/replicas"), available: number(it, "/status/availableReplicas") };
        deployments.filter_map(|(item, wanted)| Some((wanted.gateway.clone(), state(self.found.get(item)?)))).collect()
    }

    fn op(&self, item: &Item) -> Option<Op> {
        let found = self.found.get(item);
        // What is being deleted is left to it; its end brings us back here.
        if found.is_some_and(|it| it.pointer("/metadata/deletionTimestamp").is_some()) {
            return None;
        }
        match (self.wanted.get(item), found) {
            (None, None) | (Some(Wanted { object: None, .. }), _) => None,
            (None, Some(found)) => Some(Op::Delete(found.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned())),
            (Some(Wanted { object: Some(desired), .. }), None) => Some(Op::Create(desired.clone())),
            (Some(_), Some(_)) => self.patch(item).filter(|patch| self.futile.get(item) != Some(patch)).map(Op::Patch),
        }
    }

    /// What is to be changed for an object to be as wanted.
    fn patch(&self, item: &Item) -> Option<Value> {
        let desired = self.wanted.get(item)?.object.as_ref()?;
        three_way(self.applied.get(item), desired, self.found.get(item)?)
    }
}

/// What a load balancer gave the Service. On a cluster without one, addresses that the user asked for are what there is.
fn addresses(service: &Value, embedded: bool) -> Vec<String> {
    let given = |path: &str| service.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |it: &Value| it.as_str().map(str::to_owned);
    let asked: Vec<_> = given("/spec/externalIPs").iter().filter_map(text).collect();
    if !embedded && !asked.is_empty() {
        return asked;
    }
    let ingress = given("/status/loadBalancer/ingress");
    ingress.iter().filter_map(|it| it.get("ip").or_else(|| it.get("hostname")).and_then(text)).collect()
}

#[cfg(test)]
mod tests;
