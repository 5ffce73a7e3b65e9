//! Candidates by path.
//!
//! Exact paths and prefixes share a tree of path segments: one walk down the request's path finds the exact path at its end, and every prefix
//! on the way. The walk hashes each byte of the path at most once, and stops where the tree does. A copy shares all nodes but those on the
//! way to what is changed.

use std::str::Split;
use std::sync::Arc;

use regex::bytes::Regex;
use smallvec::SmallVec;
use weir_model::{ObjectName, PathMatch};

use crate::RequestView;
use crate::candidate::Candidate;
use crate::shards::Shards;

/// Prefixes that lie within each other and are remembered on the way down without allocating.
const NESTED: usize = 8;

/// The candidates of one host.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathTable {
    root: Node,
    regexes: Vec<RegexEntry>,
    /// How many matches speak of this host.
    matches: usize,
}

/// A path: the segments from the root to here.
#[derive(Debug, Clone, Default)]
struct Node {
    children: Shards<Arc<Node>>,
    /// How long the path is.
    len: usize,
    /// By precedence.
    exact: Vec<Arc<Candidate>>,
    /// By precedence.
    prefix: Vec<Arc<Candidate>>,
}

/// A candidate whose path is an expression.
#[derive(Debug, Clone)]
struct RegexEntry {
    /// How long the expression's text is.
    len: usize,
    regex: Arc<Regex>,
    candidate: Arc<Candidate>,
}

/// A candidate that holds, and the length of the prefix if one decided.
pub(crate) struct Hit<'t> {
    pub(crate) candidate: &'t Candidate,
    pub(crate) prefix_len: Option<usize>,
}

/// Where in the table a path's candidates are.
enum Place<'p> {
    Exact(Segments<'p>),
    Prefix(Segments<'p>),
    Regex(&'p str),
}

/// `/a` is one segment, `/a/` two, `` none.
type Segments<'p> = std::iter::Skip<Split<'p, char>>;

fn place(path: &PathMatch) -> Place<'_> {
    match path {
        PathMatch::Exact(path) => Place::Exact(segments(path)),
        PathMatch::Prefix(path) => Place::Prefix(segments(path.trim_end_matches('/'))),
        PathMatch::Regex(pattern) => Place::Regex(pattern.as_str()),
    }
}

fn segments(path: &str) -> Segments<'_> {
    path.split('/').skip(1)
}

impl PathTable {
    /// Adds a candidate. `regex` is the compiled expression of such a path.
    pub(crate) fn add(&mut self, path: &PathMatch, candidate: Arc<Candidate>, regex: Option<Arc<Regex>>) {
        self.matches += 1;
        match place(path) {
            Place::Exact(segments) => insert(&mut self.root.make(segments).exact, candidate),
            Place::Prefix(segments) => insert(&mut self.root.make(segments).prefix, candidate),
            Place::Regex(text) => {
                let Some(regex) = regex else { return };
                let entry = RegexEntry { len: text.len(), regex, candidate };
                let at = self.regexes.partition_point(|it| it.goes_before(&entry));
                self.regexes.insert(at, entry);
            }
        }
    }

    /// Takes the candidates of `route` at `path` away. To be called once for each [`Self::add`].
    pub(crate) fn remove(&mut self, path: &PathMatch, route: &ObjectName) {
        self.matches = self.matches.saturating_sub(1);
        let is_of_route = |candidate: &Arc<Candidate>| candidate.route.name == *route;
        match place(path) {
            Place::Exact(segments) => self.root.prune(segments, &mut |node| node.exact.retain(|it| !is_of_route(it))),
            Place::Prefix(segments) => self.root.prune(segments, &mut |node| node.prefix.retain(|it| !is_of_route(it))),
            Place::Regex(_) => self.regexes.retain(|entry| !is_of_route(&entry.candidate)),
        }
    }

    /// Whether no match speaks of this host.
    pub(crate) fn is_unspoken(&self) -> bool {
        self.matches == 0
    }

    /// The first candidate by precedence that holds.
    pub(crate) fn find<R: RequestView>(&self, request: &R) -> Option<Hit<'_>> {
        let path = request.path();
        // `*` (OPTIONS) and anything else that is not a path meets nothing.
        let rest = path.strip_prefix('/')?;
        let mut prefixes = SmallVec::new();
        let end = self.walk(rest, &mut prefixes);
        if let Some(end) = end
            && let Some(candidate) = first(&end.exact, request)
        {
            return Some(Hit { candidate, prefix_len: None });
        }
        if let Some(candidate) = self.find_regex(path, request) {
            return Some(Hit { candidate, prefix_len: None });
        }
        let longest_first = prefixes.iter().rev().copied();
        longest_first.into_iter().find_map(|node: &Node| Some(Hit { candidate: first(&node.prefix, request)?, prefix_len: Some(node.len) }))
    }

    fn find_regex<R: RequestView>(&self, path: &str, request: &R) -> Option<&Candidate> {
        // Routes that share an expression mostly stand together: it is not run again for each.
        let mut last: Option<(&Arc<Regex>, bool)> = None;
        for entry in &self.regexes {
            let matches = match last {
                Some((regex, matches)) if Arc::ptr_eq(regex, &entry.regex) => matches,
                Some(_) | None => entry.regex.is_match(path.as_bytes()),
            };
            last = Some((&entry.regex, matches));
            if matches && entry.candidate.holds(request) {
                return Some(&entry.candidate);
            }
        }
        None
    }

    /// The node at the path's end, if there is one; `prefixes` gets those with prefixes on the way, the shortest first.
    fn walk<'t>(&'t self, mut rest: &str, prefixes: &mut SmallVec<[&'t Node; NESTED]>) -> Option<&'t Node> {
        let mut node = &self.root;
        loop {
            if !node.prefix.is_empty() {
                prefixes.push(node);
            }
            if node.children.is_empty() {
                return None;
            }
            let (segment, more) = match memchr::memchr(b'/', rest.as_bytes()) {
                Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
                None => (rest, None),
            };
            node = node.children.get(segment)?;
            match more {
                Some(more) => rest = more,
                None => break,
            }
        }
        if !node.prefix.is_empty() {
            prefixes.push(node);
        }
        Some(node)
    }
}

impl Node {
    /// The node of a path below this one, made if need be.
    fn make(&mut self, segments: Segments<'_>) -> &mut Self {
        let mut node = self;
        for segment in segments {
            let len = node.len + 1 + segment.len();
            node = Arc::make_mut(node.children.entry(segment, || Arc::new(Self { len, ..Self::default() })));
        }
        node
    }

    /// Changes the node of a path below this one, if there is one, and takes away what is empty then.
    fn prune(&mut self, mut segments: Segments<'_>, change: &mut dyn FnMut(&mut Self)) {
        let Some(segment) = segments.next() else { return change(self) };
        let Some(child) = self.children.get_mut(segment).map(Arc::make_mut) else { return };
        child.prune(segments, change);
        if child.children.is_empty() && child.exact.is_empty() && child.prefix.is_empty() {
            self.children.remove(segment);
        }
    }
}

impl RegexEntry {
    /// The longer expression, then precedence.
    fn goes_before(&self, other: &Self) -> bool {
        other.len.cmp(&self.len).then_with(|| self.candidate.rank().cmp(&other.candidate.rank())).is_lt()
    }
}

/// Puts a candidate where its precedence wants it.
fn insert(candidates: &mut Vec<Arc<Candidate>>, candidate: Arc<Candidate>) {
    let at = candidates.partition_point(|it| it.rank() < candidate.rank());
    candidates.reserve_exact(1);
    candidates.insert(at, candidate);
}

fn first<'t, R: RequestView>(candidates: &'t [Arc<Candidate>], request: &R) -> Option<&'t Candidate> {
    candidates.iter().map(|candidate| &**candidate).find(|candidate| candidate.holds(request))
}
