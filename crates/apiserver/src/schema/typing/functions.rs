//! The functions and operators of Kubernetes' CEL environment.
//!
//! A line of `functions.txt` is one overload: `NAME STYLE (ARGUMENTS) -> RESULT`, STYLE being `.` for what is called on its first argument
//! and `-` for the others; a single capital is a type that the call decides. They are those of the environment for rules of Kubernetes
//! 1.37, without what this server cannot evaluate.

use std::collections::HashMap;
use std::thread::LocalKey;

use super::types::{Ty, arguments};

/// One way to call a function.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) member: bool,
    pub(super) arguments: Vec<Ty<'static>>,
    pub(super) result: Ty<'static>,
}

/// The overloads of each function.
pub(super) type Functions = HashMap<&'static str, Vec<Overload>>;

thread_local! {
    static FUNCTIONS: Functions = parse(include_str!("functions.txt"));
}

/// All functions. Types are not shared between threads, and rules are checked seldom.
pub(super) fn functions() -> &'static LocalKey<Functions> {
    &FUNCTIONS
}

fn parse(text: &'static str) -> Functions {
    let mut functions = Functions::new();
    for line in text.lines() {
        let Some((name, style, types)) = line.split_once(' ').and_then(|(name, rest)| Some((name, rest.get(..1)?, rest.get(2..)?))) else {
            continue;
        };
        let Some((given, result)) = types.split_once(" -> ") else { continue };
        let given = given.strip_prefix('(').and_then(|g| g.strip_suffix(')')).unwrap_or(given);
        let overload = Overload { member: style == ".", arguments: arguments(given), result: Ty::parse(result) };
        functions.entry(name).or_default().push(overload);
    }
    functions
}

/// The types that have names in rules. `google.protobuf.Duration` is what `type()` gives for a duration.
pub(super) fn type_named(name: &str) -> Option<Ty<'static>> {
    Some(Ty::type_of(match name {
        "bool" => Ty::Plain("bool"),
        "int" => Ty::Plain("int"),
        "uint" => Ty::Plain("uint"),
        "double" => Ty::Plain("double"),
        "string" => Ty::Plain("string"),
        "bytes" => Ty::Plain("bytes"),
        "null_type" => Ty::Null,
        "list" => Ty::list(Ty::Dyn),
        "map" => Ty::map(Ty::Dyn, Ty::Dyn),
        "type" => return Some(Ty::Type(None)),
        "google.protobuf.Duration" => Ty::Plain("duration"),
        "google.protobuf.Timestamp" => Ty::Plain("timestamp"),
        _ => return None,
    }))
}
