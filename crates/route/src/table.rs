//! The compiled table of the listeners that share a port.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;
use weir_model::{HostPattern, Listener, ListenerName, ObjectName, PathMatch, Route, Rule, SharedMap};

use crate::candidate::{Candidate, Origin};
use crate::hosts::HostMap;
use crate::path;
use crate::paths::PathTable;
use crate::regexes::Regexes;
use crate::{Found, Matched, RequestView};

/// The routes of the listeners that share a port, compiled. A change makes a new one, which shares what has not changed with the old one: its
/// cost grows with the routes that change, not with those that there are.
#[derive(Debug, Clone, Default)]
pub struct Table {
    listeners: HostMap<Isolated>,
    /// The hosts of each listener that can be reached.
    hostnames: Arc<BTreeMap<ListenerName, HostPattern>>,
    routes: SharedMap<ObjectName, Entry>,
    /// Numbers that rules had and have no more.
    free: Vec<u32>,
    /// The lowest number that no rule ever had.
    next: u32,
    regexes: Regexes,
}

/// A listener and the routes attached to it.
#[derive(Debug, Clone)]
struct Isolated {
    name: ListenerName,
    hosts: HostMap<Arc<PathTable>>,
}

/// A route, and the number of each of its rules.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    route: Arc<Route>,
    ids: SmallVec<[u32; 2]>,
}

impl Table {
    /// Compiles the routes that are attached to `listeners`, all of one port. Of two listeners with the same hostname the one answers whose
    /// name comes first; the control plane lets no two be in force.
    pub fn compile<'a>(listeners: impl IntoIterator<Item = &'a Listener>, routes: impl IntoIterator<Item = &'a Arc<Route>>) -> Self {
        Self::build(Regexes::default(), listeners, routes)
    }

    /// As [`Self::compile`], for a port that had a table before: expressions that both have are not compiled again.
    pub fn recompile<'a>(
        &self,
        listeners: impl IntoIterator<Item = &'a Listener>,
        routes: impl IntoIterator<Item = &'a Arc<Route>>,
    ) -> Self {
        Self::build(self.regexes.clone(), listeners, routes)
    }

    /// The table for the same listeners when these routes are what they are now; none: gone.
    #[must_use]
    pub fn edit<'a>(&self, changes: impl IntoIterator<Item = (&'a ObjectName, Option<&'a Arc<Route>>)>) -> Self {
        let mut table = self.clone();
        for (name, route) in changes {
            table.remove(name);
            if let Some(route) = route {
                table.add(route);
            }
        }
        table.regexes.tidy();
        table
    }

    /// Whether so many rules are gone that their numbers are worth to be taken back, by compiling the table anew.
    pub fn is_sparse(&self) -> bool {
        self.free.len() > 1024 && self.free.len() > self.next as usize / 2
    }

    /// The rule that `request` meets. See the crate's documentation for the precedence.
    pub fn find<'t, R: RequestView>(&'t self, request: &R) -> Found<'t> {
        let host = request.host();
        let Some(listener) = self.listeners.find(host) else { return Found::NoRoute { listener: None } };
        let hit = listener.hosts.find(host).and_then(|paths| paths.find(request));
        let found = hit.and_then(|hit| {
            let Candidate { id, route, rule: rule_index, .. } = hit.candidate;
            let rule = route.rules.get(*rule_index)?;
            Some(Matched { listener: &listener.name, route, rule_index: *rule_index, rule, prefix_len: hit.prefix_len, id: *id })
        });
        found.map_or(Found::NoRoute { listener: Some(&listener.name) }, Found::Rule)
    }

    /// The rules of the table, route by route, each with its number: see [`Matched::id`].
    pub fn rules(&self) -> impl Iterator<Item = (u32, &Arc<Route>, &Rule)> {
        self.routes.values().flat_map(|entry| entry.ids.iter().zip(&entry.route.rules).map(|(id, rule)| (*id, &entry.route, rule)))
    }

    /// The number of each rule of a route.
    pub fn ids(&self, route: &ObjectName) -> &[u32] {
        self.routes.get(route).map(|entry| entry.ids.as_slice()).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn expressions(&self) -> impl Iterator<Item = (&str, Arc<regex::bytes::Regex>)> {
        self.regexes.in_use()
    }

    fn build<'a>(
        regexes: Regexes,
        listeners: impl IntoIterator<Item = &'a Listener>,
        routes: impl IntoIterator<Item = &'a Arc<Route>>,
    ) -> Self {
        let mut table = Self { regexes, ..Self::default() };
        let by_name: BTreeMap<&ListenerName, &HostPattern> = listeners.into_iter().map(|it| (&it.name, &it.hostname)).collect();
        let mut hostnames = BTreeMap::new();
        for (name, hostname) in by_name {
            let listener = table.listeners.entry(hostname, || Isolated { name: name.clone(), hosts: HostMap::default() });
            if listener.name == *name {
                hostnames.insert(name.clone(), hostname.clone());
            }
        }
        table.hostnames = Arc::new(hostnames);
        routes.into_iter().for_each(|route| table.add(route));
        table.regexes.tidy();
        table
    }

    fn add(&mut self, route: &Arc<Route>) {
        if !route.attachments.iter().any(|attachment| self.hostnames.contains_key(&attachment.listener)) {
            return;
        }
        let ids: SmallVec<_> = route.rules.iter().map(|_| self.take_id()).collect();
        for (rule, &id) in ids.iter().enumerate() {
            self.each_match(id, rule, route, |paths, path, candidate, regex| paths.add(path, candidate, regex));
        }
        self.routes.insert(route.name.clone(), Entry { route: route.clone(), ids });
    }

    fn remove(&mut self, name: &ObjectName) {
        let Some(Entry { route, ids }) = self.routes.remove(name) else { return };
        for (rule, &id) in ids.iter().enumerate() {
            self.each_match(id, rule, &route, |paths, path, _, _| paths.remove(path, name));
        }
        self.free.extend(ids);
    }

    /// Calls `change` for each match of a rule at each host that the route is attached to. A host of which nobody speaks any more is
    /// forgotten, so that requests for it meet a wildcard.
    fn each_match(
        &mut self,
        id: u32,
        rule: usize,
        route: &Arc<Route>,
        mut change: impl FnMut(&mut PathTable, &PathMatch, Arc<Candidate>, Option<Arc<regex::bytes::Regex>>),
    ) {
        let matches = route.rules.get(rule).map_or(0, |rule| rule.matches.len());
        for position in 0..matches {
            let origin = Origin { id, route, rule, position };
            let Some(it) = origin.get() else { continue };
            let Some(candidate) = Candidate::new(it, origin, &mut self.regexes).map(Arc::new) else { continue };
            let regex = match &it.path {
                PathMatch::Regex(pattern) => self.regexes.compile(pattern),
                PathMatch::Exact(_) | PathMatch::Prefix(_) => None,
            };
            let path = path::of_match(&it.path);
            for attachment in &route.attachments {
                let Some(hostname) = self.hostnames.get(&attachment.listener) else { continue };
                let Some(listener) = self.listeners.get_mut(hostname) else { continue };
                for host in &attachment.hostnames {
                    let paths = Arc::make_mut(listener.hosts.entry(host, Arc::default));
                    change(paths, &path, candidate.clone(), regex.clone());
                    if paths.is_unspoken() {
                        listener.hosts.remove(host);
                    }
                }
            }
        }
    }

    fn take_id(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}
