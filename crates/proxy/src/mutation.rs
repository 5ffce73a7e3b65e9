//! Header changes that a listener makes to all that passes, compiled.

use std::sync::Arc;

use smallvec::SmallVec;
use weir_model::{HeaderMutation, HeaderName, StringMatch};

/// A [`StringMatch`] with its expression compiled.
#[derive(Debug)]
pub(crate) enum Matcher {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Regex(regex::bytes::Regex),
    /// An expression that cannot be compiled, which does not happen: it was when the pattern was made.
    Never,
}

impl Matcher {
    pub(crate) fn new(it: &StringMatch) -> Self {
        match it {
            StringMatch::Exact(text) => Self::Exact(text.clone()),
            StringMatch::Prefix(text) => Self::Prefix(text.clone()),
            StringMatch::Suffix(text) => Self::Suffix(text.clone()),
            StringMatch::Regex(pattern) => pattern.compile().map_or(Self::Never, Self::Regex),
        }
    }

    /// Whether `text`, in whatever case, matches when written in lower case.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(it) => text.eq_ignore_ascii_case(it.as_bytes()),
            Self::Prefix(it) => text.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it.as_bytes())),
            Self::Suffix(it) => {
                let start = text.len().checked_sub(it.len());
                start.and_then(|start| text.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(it.as_bytes()))
            }
            Self::Regex(regex) => {
                let lower: SmallVec<[u8; 64]> = text.iter().map(u8::to_ascii_lowercase).collect();
                regex.is_match(&lower)
            }
            Self::Never => false,
        }
    }
}

/// A [`HeaderMutation`], ready for use: what it would add and then remove is left out.
#[derive(Debug, Default)]
pub(crate) struct Mutation {
    set: Vec<(HeaderName, Arc<str>)>,
    add: Vec<(HeaderName, Arc<str>)>,
    add_if_absent: Vec<(HeaderName, Arc<str>)>,
    remove: Vec<HeaderName>,
    remove_on_match: Vec<Matcher>,
    is_empty: bool,
}

impl Mutation {
    pub(crate) fn new(it: &HeaderMutation) -> Self {
        let mut all = Self { remove: it.remove.clone(), is_empty: it.is_empty(), ..Self::default() };
        all.remove_on_match = it.remove_on_match.iter().map(Matcher::new).collect();
        // Framing and the connection are not theirs to change.
        let framing = |name: &HeaderName| matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection" | "upgrade");
        let stays = |(name, _): &&(HeaderName, Arc<str>)| !framing(name) && !all.removes(name.as_str().as_bytes());
        let left = |pairs: &[(HeaderName, Arc<str>)]| pairs.iter().filter(stays).cloned().collect::<Vec<_>>();
        let (set, add, add_if_absent) = (left(&it.set), left(&it.add), left(&it.add_if_absent));
        Self { set, add, add_if_absent, ..all }
    }

    /// Whether a field that the message came with survives.
    #[inline]
    pub(crate) fn keeps(&self, name: &[u8]) -> bool {
        self.is_empty || !(is_among(&self.set, name) || self.removes(name))
    }

    /// The fields that it adds. `has`: whether the message has a field of that name.
    pub(crate) fn fields<'a>(&'a self, has: impl Fn(&[u8]) -> bool + 'a) -> impl Iterator<Item = (&'a str, &'a str)> {
        let absent = move |(name, _): &&(HeaderName, Arc<str>)| {
            let name = name.as_str().as_bytes();
            !has(name) && !is_among(&self.set, name) && !is_among(&self.add, name)
        };
        let added = self.add_if_absent.iter().filter(absent);
        self.set.iter().chain(&self.add).chain(added).map(|(name, value)| (name.as_str(), &**value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty
    }

    fn removes(&self, name: &[u8]) -> bool {
        self.remove.iter().any(|it| it.as_str().as_bytes().eq_ignore_ascii_case(name))
            || self.remove_on_match.iter().any(|it| it.matches(name))
    }
}

fn is_among(pairs: &[(HeaderName, Arc<str>)], name: &[u8]) -> bool {
    pairs.iter().any(|(it, _)| it.as_str().as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use weir_model::Pattern;

    use super::*;

    fn name(text: &str) -> HeaderName {
        HeaderName::new(text).expect("a header name")
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(HeaderName, Arc<str>)> {
        list.iter().map(|(field, value)| (name(field), (*value).into())).collect()
    }

    #[test]
    fn changes_are_made_in_their_order() {
        let mutation = Mutation::new(&HeaderMutation {
            set: pairs(&[("a", "set"), ("gone", "1"), ("content-length", "5")]),
            add: pairs(&[("b", "1"), ("b", "2")]),
            add_if_absent: pairs(&[("a", "no"), ("b", "no"), ("here", "no"), ("c", "yes")]),
            remove: vec![name("gone"), name("d")],
            remove_on_match: vec![StringMatch::Prefix("x-internal-".into())],
        });
        let fields: Vec<_> = mutation.fields(|name| name == b"here").collect();
        assert_eq!(fields, [("a", "set"), ("b", "1"), ("b", "2"), ("c", "yes")]);
        let kept = ["A", "b", "C", "D", "Gone", "here", "X-Internal-Y", "x-intern"].map(|name| mutation.keeps(name.as_bytes()));
        assert_eq!(kept, [false, true, true, false, false, true, false, true]);
        assert!(Mutation::new(&HeaderMutation::default()).is_empty());
    }

    #[test]
    fn names_match_in_any_case() {
        let regex = StringMatch::Regex(Pattern::new("x-(foo|bar)").expect("a pattern"));
        for (matcher, yes, no) in [
            (StringMatch::Exact("x-foo".into()), "X-Foo", "x-food"),
            (StringMatch::Prefix("x-".into()), "X-Foo", "y-foo"),
            (StringMatch::Suffix("-id".into()), "User-ID", "id"),
            (regex, "X-Bar", "x-barn"),
        ] {
            let compiled = Matcher::new(&matcher);
            assert!(compiled.matches(yes.as_bytes()) && !compiled.matches(no.as_bytes()), "{matcher:?}");
        }
    }
}
