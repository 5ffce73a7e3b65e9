//! The path table: what was decided on is what is forwarded, and no way to write a protected path leads past its rule.
//!
//! The oracle is written here, apart from Weir's normaliser: [`lenient`] reads a path as an obliging origin would, and [`rule_of`] decides
//! as the routes of `gateway.yaml` say.

use std::collections::BTreeSet;

use super::case::unescape;
use super::client::Client;
use super::message::escaped;
use super::run::Bench;

/// What became of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// The rule, and the path as forwarded.
    Forwarded(String, String),
    Redirected(String),
    Refused(u16),
}

/// Tells what is wrong, over the hand-picked lines of `table` and all combinations of [`generated`].
pub(crate) fn check(bench: &Bench, table: &str) -> Vec<String> {
    let mut asker = Asker { bench, client: None };
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (raw, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no => in {line:?}"));
        let outcome = asker.ask(&unescape(raw));
        let text = match &outcome {
            Outcome::Forwarded(rule, path) => format!("{rule} {path}"),
            Outcome::Redirected(path) => format!("307 {path}"),
            Outcome::Refused(status) => status.to_string(),
        };
        if text != expected {
            wrong.push(format!("{line}: got {text}"));
        }
        wrong.extend(laws(&mut asker, &unescape(raw), &outcome));
        rows += 1;
    }
    let generated = generated();
    assert!(rows >= 300, "{rows} rows beside {} made paths", generated.len());
    for raw in generated {
        let outcome = asker.ask(raw.as_bytes());
        wrong.extend(laws(&mut asker, raw.as_bytes(), &outcome));
    }
    wrong
}

/// What must hold for every path, however it is written.
fn laws(asker: &mut Asker<'_>, raw: &[u8], outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    let shown = escaped(raw);
    match outcome {
        Outcome::Refused(400) => {}
        Outcome::Refused(status) => wrong.push(format!("{shown} was answered {status}")),
        Outcome::Redirected(path) => match asker.ask(path.as_bytes()) {
            Outcome::Forwarded(rule, again) if again != *path || rule != rule_of(path.split('?').next().unwrap_or_default()) => {
                wrong.push(format!("{shown} was sent to {path}, which went by {rule} as {again}"));
            }
            Outcome::Forwarded(..) => {}
            other => wrong.push(format!("{shown} was sent to {path}, which became {other:?}")),
        },
        Outcome::Forwarded(rule, target) => {
            let path = target.split('?').next().unwrap_or_default();
            if rule != rule_of(path) {
                wrong.push(format!("{shown} was forwarded as {path} by {rule}, not by {}", rule_of(path)));
            }
            let read = lenient(path);
            if rule != rule_of(&read) {
                wrong.push(format!("{shown} was forwarded as {path} by {rule}, but an origin may read {read}"));
            }
            let again = asker.ask(target.as_bytes());
            if again != *outcome {
                wrong.push(format!("{shown} became {outcome:?}, and that, asked for, {again:?}"));
            }
        }
    }
    wrong
}

/// The rule that the routes of `paths.test` have for a path.
fn rule_of(path: &str) -> &'static str {
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match path {
        "/exact" => "exact",
        _ if below("/admin") => "admin",
        _ if below("/public/admin") => "public-admin",
        _ if below("/public") => "public",
        _ => "rest",
    }
}

/// A path as an obliging origin may read it: escapes decoded (once), backslashes as slashes, parameters of dot segments dropped, slashes
/// merged, dot segments resolved.
fn lenient(path: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let digits = after.get(..2).and_then(|it| std::str::from_utf8(it).ok()).and_then(|it| u8::from_str_radix(it, 16).ok());
        match (byte, digits) {
            (b'%', Some(value)) => {
                decoded.push(value);
                rest = &after[2..];
            }
            _ => decoded.push(*byte),
        }
    }
    let text = String::from_utf8_lossy(&decoded).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/').filter(|it| !it.is_empty()) {
        match segment.split(';').next().unwrap_or_default() {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    // A slash at the end tells apart `/exact` and `/exact/`, whose rules differ.
    let ends = |it: &str| text.ends_with(it);
    let slash = ends("/") || ends("/.") || ends("/..");
    format!("/{}{}", segments.join("/"), if slash && !segments.is_empty() { "/" } else { "" })
}

/// Ways into `/admin` from outside, around it, and past it: each separator with each spelling of a dot segment and of the name.
fn generated() -> BTreeSet<String> {
    const SLASHES: [&str; 7] = ["/", "//", "\\", "%2f", "%2F", "%5c", "/./"];
    const UP: [&str; 9] = ["..", "%2e%2e", "%2E.", ".%2e", "..;x", "..%3b", "%252e%252e", "..%00", "%c0%ae%c0%ae"];
    const NAMES: [&str; 7] = ["admin", "%61dmin", "adm%69n", "%61%64%6D%69%6E", "ADMIN", "admin;x", "admin%20"];
    let mut paths = BTreeSet::new();
    for name in NAMES {
        for slash in SLASHES {
            paths.extend([
                format!("/{name}{slash}"),
                format!("/{name}{slash}x"),
                format!("/{slash}{name}"),
                format!("/public{slash}{name}"),
                format!("{slash}{name}"),
            ]);
            for up in UP {
                paths.extend([
                    format!("/public{slash}{up}{slash}{name}/x"),
                    format!("/{name}{slash}{up}{slash}public"),
                    format!("/public/x{slash}{up}/{up}{slash}{name}"),
                ]);
            }
        }
    }
    paths
}

struct Asker<'a> {
    bench: &'a Bench,
    client: Option<Client>,
}

impl Asker<'_> {
    fn ask(&mut self, path: &[u8]) -> Outcome {
        let mut client = self.client.take().unwrap_or_else(|| Client::connect(self.bench.gateway));
        client.send(&[b"GET ", path, b" HTTP/1.1\r\nHost: paths.test\r\n\r\n"].concat(), false);
        let answer = client.answer(false).unwrap_or_else(|wrong| panic!("{}: {wrong}", escaped(path)));
        let closes = answer.head.values("connection").contains(&b"close".as_slice());
        self.client = (!closes).then_some(client);
        let record = self.bench.origin.record();
        assert!(record.violations.is_empty(), "{}: {:?}", escaped(path), record.violations);
        match (answer.status, record.requests.as_slice()) {
            (200, [request]) => {
                let rule = request.head.values("x-rule").iter().map(|it| escaped(it)).collect();
                Outcome::Forwarded(rule, request.target.clone())
            }
            (307, []) => {
                let location = answer.head.values("location").iter().map(|it| escaped(it)).collect::<String>();
                let path = location.strip_prefix("http://paths.test").unwrap_or_else(|| panic!("{}: {location}", escaped(path)));
                Outcome::Redirected(path.to_owned())
            }
            (status, []) => Outcome::Refused(status),
            (status, seen) => panic!("{}: {status}, and the origin saw {seen:?}", escaped(path)),
        }
    }
}
