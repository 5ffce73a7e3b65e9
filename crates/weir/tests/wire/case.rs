//! Reads cases; `tests/wire/README.md` describes their format.

use std::path::Path;

/// A case.
#[derive(Debug)]
pub(crate) struct Case {
    /// `area/name`
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// What the origin says to each request, in order.
    pub(crate) answers: Vec<Answer>,
    /// What it must have seen.
    pub(crate) seen: Vec<Seen>,
    /// Why it is known to fail.
    pub(crate) pending: Option<String>,
}

/// A step of the client's or the origin's.
#[derive(Debug)]
pub(crate) enum Step {
    Send { bytes: Vec<u8>, whole: bool, new: bool },
    Shut,
    HangUp,
    Expect(Expect),
    Adds { bytes: Vec<u8>, then: Then },
}

/// What the client must get.
#[derive(Debug)]
pub(crate) enum Expect {
    Answer {
        status: u16,
        close: bool,
        to_head: bool,
        findings: Vec<Finding>,
    },
    /// Its head, which stays to be read.
    Begins {
        status: u16,
    },
    Cut {
        status: u16,
    },
    Closed,
}

/// What must be in an answer.
#[derive(Debug)]
pub(crate) enum Finding {
    Field(String, String),
    NoField(String),
    Body(Vec<u8>),
}

/// What the origin says.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) early: bool,
    pub(crate) then: Then,
}

/// What it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Stay,
    Close,
    Reset,
}

/// A request that the origin must have seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Or nothing at all.
    pub(crate) maybe: bool,
    /// It ended before its end: the body is what can have been passed on of it at most.
    pub(crate) cut: bool,
    /// On the same connection as the one before, or not; none: whichever.
    pub(crate) same: Option<bool>,
    pub(crate) text: String,
}

/// All cases below `folder`, in the order of their names.
pub(crate) fn all(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for area in entries(folder).into_iter().filter(|it| it.is_dir()) {
        for file in entries(&area).into_iter().filter(|it| it.extension().is_some_and(|it| it == "case")) {
            let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).expect("readable");
            cases.push(parse(format!("{}/{}", stem(&area), stem(&file)), &text));
        }
    }
    cases
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut entries: Vec<_> = folder.read_dir().expect("a folder").map(|it| it.expect("readable").path()).collect();
    entries.sort();
    entries
}

fn parse(name: String, text: &str) -> Case {
    let mut sections: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(line, line.trim_end(), "{name}: white space at the end of a line");
        match (line.strip_prefix("--- "), sections.last_mut()) {
            (Some(words), _) => sections.push((words.split(' ').collect(), Vec::new())),
            (None, Some((_, content))) => content.push(line),
            (None, None) => assert!(line.is_empty(), "{name}: {line:?} before the first step"),
        }
    }
    let mut case = Case { name, steps: Vec::new(), answers: Vec::new(), seen: Vec::new(), pending: None };
    let mut says_what_is_seen = false;
    for (words, content) in &sections {
        says_what_is_seen |= words.starts_with(&["origin", "sees"]);
        case.add(words, content);
    }
    assert!(says_what_is_seen, "{}: no `origin sees`", case.name);
    assert!(case.steps.iter().any(|it| matches!(it, Step::Expect(_) | Step::HangUp)), "{}: expects nothing", case.name);
    case
}

impl Case {
    fn add(&mut self, words: &[&str], content: &[&str]) {
        let unknown = format!("{}: unknown step {words:?}", self.name);
        let bytes = || content.iter().flat_map(|line| unescape_line(line)).collect::<Vec<u8>>();
        match words {
            ["send", options @ ..] => {
                let (whole, new) = (options.contains(&"whole"), options.contains(&"new"));
                self.steps.push(Step::Send { bytes: bytes(), whole, new });
            }
            ["shut"] => self.steps.push(Step::Shut),
            ["hang", "up"] => self.steps.push(Step::HangUp),
            ["expect", "closed"] => self.steps.push(Step::Expect(Expect::Closed)),
            ["expect", "begins", status] => self.steps.push(Step::Expect(Expect::Begins { status: status.parse().expect("a status") })),
            ["expect", "cut", status] => self.steps.push(Step::Expect(Expect::Cut { status: status.parse().expect("a status") })),
            ["expect", status, options @ ..] => {
                let status = status.parse().expect(&unknown);
                let (close, to_head) = (options.contains(&"close"), options.contains(&"to-head"));
                assert_eq!(options.len(), usize::from(close) + usize::from(to_head), "{}: {words:?}", self.name);
                self.steps.push(Step::Expect(Expect::Answer { status, close, to_head, findings: findings(content) }));
            }
            ["origin", "answers", options @ ..] => {
                self.answers.push(Answer { bytes: bytes(), early: options.contains(&"early"), then: then(options) });
            }
            ["origin", "adds", options @ ..] => self.steps.push(Step::Adds { bytes: bytes(), then: then(options) }),
            ["origin", "sees", "nothing"] => {}
            ["origin", "sees", options @ ..] => {
                let same = if options.contains(&"same") { Some(true) } else { options.contains(&"other").then_some(false) };
                let text = content.iter().filter(|line| !line.is_empty()).map(|line| format!("{}\n", expand(line))).collect();
                self.seen.push(Seen { maybe: options.contains(&"maybe"), cut: options.contains(&"cut"), same, text });
            }
            ["pending", reason @ ..] => self.pending = Some(reason.join(" ")),
            _ => panic!("{unknown}"),
        }
    }
}

fn then(options: &[&str]) -> Then {
    match options {
        [.., "then", "close"] => Then::Close,
        [.., "then", "reset"] => Then::Reset,
        _ => Then::Stay,
    }
}

fn findings(content: &[&str]) -> Vec<Finding> {
    let (mut findings, mut body) = (Vec::new(), None::<Vec<u8>>);
    for line in content.iter().filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("= ").or_else(|| (*line == "=").then_some("")) {
            body.get_or_insert_default().extend(unescape_line(text));
        } else if let Some(name) = line.strip_prefix('!') {
            findings.push(Finding::NoField(name.to_owned()));
        } else {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no field"));
            findings.push(Finding::Field(name.to_owned(), value.to_owned()));
        }
    }
    findings.extend(body.map(Finding::Body));
    findings
}

/// `@3 ab` is `ababab`, in a body as elsewhere.
fn expand(line: &str) -> String {
    match line.strip_prefix("= @").and_then(|rest| rest.split_once(' ')) {
        Some((count, text)) => format!("= {}", text.repeat(count.parse().expect("a count"))),
        None => line.to_owned(),
    }
}

fn unescape_line(line: &str) -> Vec<u8> {
    match line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        Some((count, text)) => unescape(text).repeat(count.parse().expect("a count after @")),
        None => unescape(line),
    }
}

/// The bytes that a text of a case stands for.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b'?')));
                    u8::from_str_radix(&digits.iter().collect::<String>(), 16).expect("two digits after \\x")
                }
                other => panic!("unknown escape {other:?} in {text:?}"),
            },
            byte => byte,
        });
    }
    bytes
}
