//! Candidates by path.
//!
//! Exact paths and prefixes share a tree of path segments: one walk down the request's path finds the exact path at its end, and on the way
//! back every prefix, the longest first. The walk hashes each byte of the path at most once, and stops where the tree does.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::PathMatch;

use crate::RequestView;
use crate::candidate::Candidate;

/// The candidates of one host.
#[derive(Debug)]
pub(crate) struct PathTable {
    nodes: Vec<Node>,
    regexes: Vec<RegexEntry>,
}

/// A path: the segments from the root to here.
#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, usize>,
    /// The nearest node above with `prefix` candidates.
    above: Option<usize>,
    parent: usize,
    /// How long the path is.
    len: usize,
    exact: Vec<Arc<Candidate>>,
    prefix: Vec<Arc<Candidate>>,
}

/// A candidate whose path is an expression.
#[derive(Debug)]
struct RegexEntry {
    /// How long the expression's text is.
    len: usize,
    regex: Arc<regex::bytes::Regex>,
    candidate: Arc<Candidate>,
}

/// A candidate that holds, and the length of the prefix if one decided.
pub(crate) struct Hit<'t> {
    pub(crate) candidate: &'t Candidate,
    pub(crate) prefix_len: Option<usize>,
}

const ROOT: usize = 0;

impl Default for PathTable {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], regexes: Vec::new() }
    }
}

impl PathTable {
    /// Adds a candidate; to be followed by [`Self::finish`]. `regex` compiles an expression.
    pub(crate) fn add(&mut self, path: &PathMatch, candidate: Arc<Candidate>, regex: Option<Arc<regex::bytes::Regex>>) {
        match path {
            PathMatch::Exact(path) => {
                let node = self.make(path);
                self.node_mut(node).exact.push(candidate);
            }
            PathMatch::Prefix(path) => {
                let node = self.make(path.trim_end_matches('/'));
                self.node_mut(node).prefix.push(candidate);
            }
            PathMatch::Regex(pattern) => {
                let Some(regex) = regex else { return };
                self.regexes.push(RegexEntry { len: pattern.as_str().len(), regex, candidate });
            }
        }
    }

    /// Sorts what was added by precedence.
    pub(crate) fn finish(&mut self) {
        for index in 0..self.nodes.len() {
            // A node is made after its parent, so the parent's `above` is already right.
            let parent = self.node(index).parent;
            let above = if index == ROOT { None } else { self.nearest_prefix(parent) };
            let node = self.node_mut(index);
            node.above = above;
            node.exact.sort_by(|a, b| a.rank.cmp(&b.rank));
            node.prefix.sort_by(|a, b| a.rank.cmp(&b.rank));
        }
        self.regexes.sort_by(|a, b| b.len.cmp(&a.len).then_with(|| a.candidate.rank.cmp(&b.candidate.rank)));
    }

    /// The first candidate by precedence that holds.
    pub(crate) fn find<R: RequestView>(&self, request: &R) -> Option<Hit<'_>> {
        let path = request.path();
        // `*` (OPTIONS) and anything else that is not a path meets nothing.
        let rest = path.strip_prefix('/')?;
        let (deepest, whole) = self.walk(rest);
        if whole && let Some(candidate) = first(&self.node(deepest).exact, request) {
            return Some(Hit { candidate, prefix_len: None });
        }
        if let Some(candidate) = self.find_regex(path, request) {
            return Some(Hit { candidate, prefix_len: None });
        }
        let mut next = self.nearest_prefix(deepest);
        while let Some(index) = next {
            let node = self.node(index);
            if let Some(candidate) = first(&node.prefix, request) {
                return Some(Hit { candidate, prefix_len: Some(node.len) });
            }
            next = node.above;
        }
        None
    }

    fn find_regex<R: RequestView>(&self, path: &str, request: &R) -> Option<&Candidate> {
        // Routes that share an expression mostly stand together: it is not run again for each.
        let mut last: Option<(&Arc<regex::bytes::Regex>, bool)> = None;
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

    /// The deepest node on the way, and whether the whole path leads there.
    fn walk(&self, mut rest: &str) -> (usize, bool) {
        let mut index = ROOT;
        loop {
            let (segment, more) = match memchr::memchr(b'/', rest.as_bytes()) {
                Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
                None => (rest, None),
            };
            match (self.node(index).children.get(segment), more) {
                (Some(&child), Some(more)) => (index, rest) = (child, more),
                (Some(&child), None) => return (child, true),
                (None, _) => return (index, false),
            }
        }
    }

    /// The node of `path`, made if need be. `/a` is one segment, `/a/` two, `` none.
    fn make(&mut self, path: &str) -> usize {
        let mut index = ROOT;
        let mut len = 0;
        for segment in path.split('/').skip(1) {
            len += 1 + segment.len();
            index = match self.node(index).children.get(segment) {
                Some(&child) => child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node { parent: index, len, ..Node::default() });
                    self.node_mut(index).children.insert(segment.into(), child);
                    child
                }
            };
        }
        index
    }

    fn nearest_prefix(&self, index: usize) -> Option<usize> {
        let node = self.node(index);
        if node.prefix.is_empty() { node.above } else { Some(index) }
    }

    fn node(&self, index: usize) -> &Node {
        self.nodes.get(index).expect("nodes are never taken away")
    }

    fn node_mut(&mut self, index: usize) -> &mut Node {
        self.nodes.get_mut(index).expect("nodes are never taken away")
    }
}

fn first<'t, R: RequestView>(candidates: &'t [Arc<Candidate>], request: &R) -> Option<&'t Candidate> {
    candidates.iter().map(|candidate| &**candidate).find(|candidate| candidate.holds(request))
}
