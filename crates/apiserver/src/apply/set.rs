//! Sets of fields: trees of path elements, each of which may be a member.

use std::cmp::Ordering;

use super::element::Element;

/// A set of fields of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Sorted by element; none is without members.
    branches: Vec<Branch>,
}

/// One element of a set, and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) element: Element,
    /// Whether the path to here is in the set.
    pub(crate) member: bool,
    pub(crate) below: FieldSet,
}

impl Branch {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    pub(crate) fn branches(&self) -> &[Branch] {
        &self.branches
    }

    pub(crate) fn get(&self, element: &Element) -> Option<&Branch> {
        let at = self.branches.binary_search_by(|b| b.element.cmp(element)).ok()?;
        self.branches.get(at)
    }

    /// A set of branches in any order: sorted once, however many they are.
    pub(crate) fn of(mut branches: Vec<Branch>) -> Self {
        branches.sort_by(|a, b| a.element.cmp(&b.element));
        let mut set = Self::default();
        for branch in branches {
            set.add(branch);
        }
        set
    }

    /// Adds a branch, or its members to the branch that is there.
    pub(crate) fn add(&mut self, branch: Branch) {
        if branch.is_empty() {
            return;
        }
        // Those who add many do so in order: anywhere else is a search and a move of all that follows.
        if self.branches.last().is_none_or(|last| last.element < branch.element) {
            self.branches.push(branch);
            return;
        }
        match self.branches.binary_search_by(|b| b.element.cmp(&branch.element)) {
            Ok(at) => {
                if let Some(old) = self.branches.get_mut(at) {
                    old.member |= branch.member;
                    old.below = old.below.union(&branch.below);
                }
            }
            Err(at) => self.branches.insert(at, branch),
        }
    }

    /// Adds one path.
    #[cfg(test)]
    pub(crate) fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let mut below = Self::default();
        below.insert(rest);
        self.add(Branch { element: first.clone(), member: rest.is_empty(), below });
    }

    /// What is in either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| match (mine, theirs) {
            (Some(a), Some(b)) => Some(Branch { element: a.element.clone(), member: a.member || b.member, below: a.below.union(&b.below) }),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        })
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| match (mine, theirs) {
            (Some(a), Some(b)) => {
                Some(Branch { element: a.element.clone(), member: a.member && b.member, below: a.below.intersection(&b.below) })
            }
            _ => None,
        })
    }

    /// What is in this set alone. A member of the other set takes nothing of what is below it.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| match (mine, theirs) {
            (Some(a), Some(b)) => {
                Some(Branch { element: a.element.clone(), member: a.member && !b.member, below: a.below.difference(&b.below) })
            }
            (Some(a), None) => Some(a.clone()),
            _ => None,
        })
    }

    /// This set without the top-level fields named, nor what is below them.
    pub(crate) fn without_fields(&self, names: &[&str]) -> Self {
        let kept = self.branches.iter().filter(|b| !matches!(&b.element, Element::Field(name) if names.contains(&&**name)));
        Self { branches: kept.cloned().collect() }
    }

    /// Both sets' branches side by side; what `keep` makes of them, without what is empty.
    fn zip(&self, other: &Self, keep: impl Fn(Option<&Branch>, Option<&Branch>) -> Option<Branch>) -> Self {
        let (mut mine, mut theirs) = (self.branches.iter().peekable(), other.branches.iter().peekable());
        let mut branches = Vec::new();
        loop {
            let order = match (mine.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.element.cmp(&b.element),
            };
            let a = if order == Ordering::Greater { None } else { mine.next() };
            let b = if order == Ordering::Less { None } else { theirs.next() };
            branches.extend(keep(a, b).filter(|branch| !branch.is_empty()));
        }
        Self { branches }
    }

    /// Every path in the set, as text: at each level the members first, then what is below them.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        paths.extend(self.branches.iter().filter(|b| b.member).map(|b| format!("{prefix}{}", b.element)));
        for branch in self.branches.iter().filter(|b| !b.below.is_empty()) {
            branch.below.collect(&format!("{prefix}{}", branch.element), paths);
        }
    }
}
