//! The compiled table of the listeners that share a port.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{HostPattern, Listener, ListenerName, PathMatch, Route, Rule};

use crate::candidate::{Candidate, Origin};
use crate::hosts::HostMap;
use crate::path;
use crate::paths::PathTable;
use crate::regexes::{Compiled, Regexes};
use crate::{Found, Matched, RequestView};

/// The routes of the listeners that share a port, compiled. Immutable; a change makes a new one.
#[derive(Debug, Default)]
pub struct Table {
    listeners: HostMap<Isolated>,
    rules: Vec<RuleEntry>,
    regexes: Compiled,
}

/// A listener and the routes attached to it.
#[derive(Debug)]
struct Isolated {
    name: ListenerName,
    hosts: HostMap<PathTable>,
}

#[derive(Debug)]
struct RuleEntry {
    route: Arc<Route>,
    index: usize,
}

impl Table {
    /// Compiles the routes that are attached to `listeners`, all of one port. Of two listeners with the same hostname the one answers whose
    /// name comes first; the control plane lets no two be in force.
    pub fn compile<'a>(listeners: impl IntoIterator<Item = &'a Listener>, routes: impl IntoIterator<Item = &'a Arc<Route>>) -> Self {
        Self::build(None, listeners, routes)
    }

    /// As [`Self::compile`], for a port that had a table before: expressions that both have are not compiled again.
    pub fn recompile<'a>(
        &self,
        listeners: impl IntoIterator<Item = &'a Listener>,
        routes: impl IntoIterator<Item = &'a Arc<Route>>,
    ) -> Self {
        Self::build(Some(&self.regexes), listeners, routes)
    }

    /// The rule that `request` meets. See the crate's documentation for the precedence.
    pub fn find<'t, R: RequestView>(&'t self, request: &R) -> Found<'t> {
        let host = request.host();
        let Some(listener) = self.listeners.find(host) else { return Found::NoRoute { listener: None } };
        let hit = listener.hosts.find(host).and_then(|paths| paths.find(request));
        let found = hit.and_then(|hit| {
            let RuleEntry { route, index } = self.rules.get(hit.candidate.rule as usize)?;
            let rule = route.rules.get(*index)?;
            let listener = &listener.name;
            Some(Matched { listener, route, rule_index: *index, rule, prefix_len: hit.prefix_len, id: hit.candidate.rule })
        });
        found.map_or(Found::NoRoute { listener: Some(&listener.name) }, Found::Rule)
    }

    /// The rules of the table, in the order of [`Matched::id`], so that a state for each can be kept in a `Vec`.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (&Arc<Route>, &Rule)> {
        self.rules.iter().map(|entry| {
            let rule = entry.route.rules.get(entry.index);
            (&entry.route, rule.expect("made from the route's own rules"))
        })
    }

    #[cfg(test)]
    pub(crate) fn expressions(&self) -> impl Iterator<Item = (&str, &Arc<regex::bytes::Regex>)> {
        self.regexes.iter().map(|(text, regex)| (&**text, regex))
    }

    fn build<'a>(
        before: Option<&Compiled>,
        listeners: impl IntoIterator<Item = &'a Listener>,
        routes: impl IntoIterator<Item = &'a Arc<Route>>,
    ) -> Self {
        let mut builder = Builder::new(before, listeners);
        for route in routes {
            builder.add(route);
        }
        builder.finish()
    }
}

/// A table in the making.
struct Builder<'a, 'b> {
    /// By name, so that attachments find them.
    listeners: BTreeMap<&'a ListenerName, (&'a HostPattern, HostMap<PathTable>)>,
    rules: Vec<RuleEntry>,
    regexes: Regexes<'b>,
}

impl<'a, 'b> Builder<'a, 'b> {
    fn new(before: Option<&'b Compiled>, listeners: impl IntoIterator<Item = &'a Listener>) -> Self {
        let listeners = listeners.into_iter().map(|it| (&it.name, (&it.hostname, HostMap::default()))).collect();
        Self { listeners, rules: Vec::new(), regexes: Regexes::new(before) }
    }

    fn add(&mut self, route: &Arc<Route>) {
        if !route.attachments.iter().any(|attachment| self.listeners.contains_key(&attachment.listener)) {
            return;
        }
        for (index, rule) in route.rules.iter().enumerate() {
            let id = u32::try_from(self.rules.len()).expect("fewer than four billion rules");
            self.rules.push(RuleEntry { route: route.clone(), index });
            for position in 0..rule.matches.len() {
                self.add_match(id, &Origin { route, rule: index, position });
            }
        }
    }

    /// Adds one match of one rule to every host that the route is attached to.
    fn add_match(&mut self, id: u32, origin: &Origin<'_>) {
        let Some(it) = origin.get() else { return };
        let Some(candidate) = Candidate::new(id, it, origin, &mut self.regexes) else { return };
        let candidate = Arc::new(candidate);
        let regex = match &it.path {
            PathMatch::Regex(pattern) => self.regexes.compile(pattern),
            PathMatch::Exact(_) | PathMatch::Prefix(_) => None,
        };
        let path = path::of_match(&it.path);
        for attachment in &origin.route.attachments {
            let Some((_, hosts)) = self.listeners.get_mut(&attachment.listener) else { continue };
            for hostname in &attachment.hostnames {
                hosts.entry(hostname, PathTable::default).add(&path, candidate.clone(), regex.clone());
            }
        }
    }

    fn finish(self) -> Table {
        let mut listeners = HostMap::default();
        for (name, (hostname, mut hosts)) in self.listeners {
            hosts.values_mut().for_each(PathTable::finish);
            listeners.entry(hostname, || Isolated { name: name.clone(), hosts });
        }
        Table { listeners, rules: self.rules, regexes: self.regexes.now }
    }
}
