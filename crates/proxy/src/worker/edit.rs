//! Header edits of filters, without allocating.

use smallvec::SmallVec;
use weir_http1::write;
use weir_model::{Filter, HeaderEdit, HeaderName, PathRewrite};

use crate::tls::{Fingerprints, filled};

/// The edits of several filters, in order. Within one: first `set`, then `add`, then `remove`.
#[derive(Default)]
pub(crate) struct Edits<'a>(SmallVec<[&'a HeaderEdit; 4]>);

/// What a rule's filters do to a request.
#[derive(Default)]
pub(crate) struct RequestFilters<'a> {
    pub(crate) edits: Edits<'a>,
    pub(crate) hostname: Option<&'a str>,
    pub(crate) path: Option<&'a PathRewrite>,
}

impl<'a> RequestFilters<'a> {
    pub(crate) fn of(filters: impl Iterator<Item = &'a Filter>) -> Self {
        let mut all = Self::default();
        for filter in filters {
            match filter {
                Filter::RequestHeaders(edit) => all.edits.0.push(edit),
                Filter::Rewrite { hostname, path } => {
                    all.hostname = hostname.as_deref().or(all.hostname);
                    all.path = path.as_ref().or(all.path);
                }
                Filter::ResponseHeaders(_) => {}
            }
        }
        all
    }
}

/// Appends a field that a configuration adds, with the client's fingerprints where its value has places for them.
pub(crate) fn configured(name: &str, value: &str, prints: Option<&Fingerprints>, out: &mut Vec<u8>) {
    match filled(value, prints) {
        None => write::field(out, name.as_bytes(), value.as_bytes()),
        // As Envoy does: a header that would say nothing is left out.
        Some(value) if value.is_empty() => {}
        Some(value) => write::field(out, name.as_bytes(), value.as_bytes()),
    }
}

impl<'a> Edits<'a> {
    /// Those that are for the answer.
    pub(crate) fn of_answer(filters: impl Iterator<Item = &'a Filter>) -> Self {
        let edit = |filter: &'a Filter| match filter {
            Filter::ResponseHeaders(edit) => Some(edit),
            _ => None,
        };
        Self(filters.filter_map(edit).collect())
    }

    /// Whether a field that the message came with survives.
    #[inline]
    pub(crate) fn keep(&self, name: &[u8]) -> bool {
        self.0.is_empty() || !self.0.iter().any(|edit| sets(edit, name) || removes(edit, name))
    }

    /// The last value that `name` was set to.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.survivors().filter(|(field, _)| field.as_str() == name).last().map(|(_, value)| value)
    }

    /// Appends the fields that the edits add.
    pub(crate) fn write(&self, prints: Option<&Fingerprints>, out: &mut Vec<u8>) {
        for (name, value) in self.fields() {
            configured(name, value, prints, out);
        }
    }

    /// The fields that the edits add. Framing is not theirs to change.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let fields = self.survivors().map(|(name, value)| (name.as_str(), value));
        fields.filter(|(name, _)| !matches!(*name, "host" | "content-length" | "transfer-encoding" | "connection"))
    }

    /// Whether a field of that name is among them.
    pub(crate) fn adds(&self, name: &[u8]) -> bool {
        self.fields().any(|(field, _)| field.as_bytes().eq_ignore_ascii_case(name))
    }

    /// What is set or added and not replaced or removed by what comes after it.
    fn survivors(&self) -> impl Iterator<Item = (&'a HeaderName, &'a str)> {
        self.0.iter().enumerate().flat_map(move |(at, edit)| {
            edit.set.iter().chain(&edit.add).map(|(name, value)| (name, &**value)).filter(move |(name, _)| {
                let name = name.as_str().as_bytes();
                let later = self.0.get(at + 1..).unwrap_or_default();
                !removes(edit, name) && !later.iter().any(|edit| sets(edit, name) || removes(edit, name))
            })
        })
    }
}

fn sets(edit: &HeaderEdit, name: &[u8]) -> bool {
    edit.set.iter().any(|(field, _)| field.as_str().as_bytes().eq_ignore_ascii_case(name))
}

fn removes(edit: &HeaderEdit, name: &[u8]) -> bool {
    edit.remove.iter().any(|field| field.as_str().as_bytes().eq_ignore_ascii_case(name))
}

/// Appends `path` as `rewrite` makes it; a prefix match covers its first `prefix` bytes.
pub(crate) fn rewritten_path(rewrite: Option<&PathRewrite>, path: &str, prefix: Option<usize>, out: &mut Vec<u8>) {
    match rewrite {
        None => out.extend_from_slice(path.as_bytes()),
        Some(PathRewrite::Full(full)) => out.extend_from_slice(if full.is_empty() { b"/" } else { full.as_bytes() }),
        Some(PathRewrite::Prefix(prefix_now)) => {
            let rest = path.get(prefix.unwrap_or(0)..).unwrap_or_default();
            let start = out.len();
            out.extend_from_slice(prefix_now.trim_end_matches('/').as_bytes());
            // What follows the prefix is empty or begins with a slash, so the parts fit; only nothing at all needs a slash of its own.
            out.extend_from_slice(rest.as_bytes());
            if out.len() == start {
                out.push(b'/');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderEdit {
        let name = |text: &str| HeaderName::new(text).expect("a header name");
        let pairs = |list: &[(&str, &str)]| list.iter().map(|(field, value)| (name(field), (*value).into())).collect();
        HeaderEdit { set: pairs(set), add: pairs(add), remove: remove.iter().map(|text| name(text)).collect() }
    }

    #[test]
    fn later_edits_win() {
        let first = edit(&[("a", "1"), ("b", "1")], &[("c", "1")], &["d"]);
        let second = edit(&[("a", "2")], &[("b", "2")], &["c"]);
        let edits = Edits([&first, &second].into_iter().collect());
        let mut out = Vec::new();
        edits.write(None, &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), "b: 1\r\na: 2\r\nb: 2\r\n");
        assert!(!edits.keep(b"A") && !edits.keep(b"D") && !edits.keep(b"c") && edits.keep(b"e"));
        assert_eq!(edits.value("b"), Some("2"));
    }

    #[test]
    fn paths_are_rewritten_by_whole_segments() {
        let path = |rewrite: PathRewrite, path: &str, prefix| {
            let mut out = Vec::new();
            rewritten_path(Some(&rewrite), path, prefix, &mut out);
            String::from_utf8(out).expect("text")
        };
        for (to, from, prefix, expected) in [
            ("/x", "/foo/bar", 4, "/x/bar"),
            ("/x/", "/foo/bar", 4, "/x/bar"),
            ("/x", "/foo", 4, "/x"),
            ("/x", "/foo/", 4, "/x/"),
            ("/x/", "/foo/", 4, "/x/"),
            ("/", "/foo/bar", 4, "/bar"),
            ("/", "/foo", 4, "/"),
            ("", "/foo/", 4, "/"),
            ("/x", "/", 0, "/x/"),
            ("/x", "/bar", 0, "/x/bar"),
        ] {
            assert_eq!(path(PathRewrite::Prefix(to.into()), from, Some(prefix)), expected, "{to} for {prefix} of {from}");
        }
        assert_eq!(path(PathRewrite::Full("/all".into()), "/foo/bar", None), "/all");
    }
}
