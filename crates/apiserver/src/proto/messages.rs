//! The messages: which field number is which JSON field, and of what kind.
//!
//! A line of `messages.txt` is `package.Message NUMBER:name:KIND ...`. KIND is `s` string, `i` integer, `b` boolean, `y` bytes, `d` double or
//! a message, after prefixes: `*` repeated, `%` a map from strings, `^` a message whose fields stand in the parent's JSON, `!` kept in
//! JSON even when it is the zero value (a Go pointer, or a field without `omitempty`).

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    Bytes,
    Double,
    Message(&'static str),
}

/// How a field stands in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One { keep_zero: bool },
    Repeated,
    Map,
    Inline,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
}

/// The fields of a message, by number.
pub(super) type Message = BTreeMap<u64, Entry>;

fn messages() -> &'static HashMap<&'static str, Message> {
    static MESSAGES: OnceLock<HashMap<&'static str, Message>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let lines = include_str!("messages.txt").lines();
        lines
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some((words.next()?, words.filter_map(entry).collect()))
            })
            .collect()
    })
}

fn entry(word: &'static str) -> Option<(u64, Entry)> {
    let mut parts = word.splitn(3, ':');
    let (number, name, kind) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let (shape, kind) = match kind.as_bytes().first()? {
        b'*' => (Shape::Repeated, &kind[1..]),
        b'%' => (Shape::Map, &kind[1..]),
        b'^' => (Shape::Inline, &kind[1..]),
        b'!' => (Shape::One { keep_zero: true }, &kind[1..]),
        _ => (Shape::One { keep_zero: false }, kind),
    };
    let kind = match kind {
        "s" => Kind::Text,
        "i" => Kind::Integer,
        "b" => Kind::Boolean,
        "y" => Kind::Bytes,
        "d" => Kind::Double,
        message => Kind::Message(message),
    };
    Some((number, Entry { name, kind, shape }))
}

/// The message of this name.
pub(super) fn find(name: &str) -> Option<&'static Message> {
    messages().get(name)
}

/// The message of a whole object.
pub(super) fn root(api_version: &str, kind: &str) -> Option<&'static Message> {
    if kind == "DeleteOptions" {
        // Sent with the version of the object that is deleted.
        return find("meta.DeleteOptions");
    }
    if (api_version, kind) == ("v1", "Status") {
        return find("meta.Status");
    }
    let package = match api_version {
        "v1" => "core",
        "apps/v1" => "apps",
        "batch/v1" => "batch",
        "coordination.k8s.io/v1" => "coordination",
        "discovery.k8s.io/v1" => "discovery",
        "events.k8s.io/v1" => "events",
        "rbac.authorization.k8s.io/v1" => "rbac",
        "authentication.k8s.io/v1" => "authentication",
        "authorization.k8s.io/v1" => "authorization",
        "autoscaling/v1" => "autoscaling",
        "apiextensions.k8s.io/v1" => "apiextensions",
        "meta.k8s.io/v1" | "meta.k8s.io/v1beta1" if kind.starts_with("PartialObjectMetadata") => "meta",
        _ => return None,
    };
    find(&format!("{package}.{kind}"))
}
