//! Rules for names and labels, in the words of `k8s.io/apimachinery`.

const LABEL_LONGEST: usize = 63;
const SUBDOMAIN_LONGEST: usize = 253;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// What the name of an object must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    /// DNS subdomain: most kinds.
    Subdomain,
    /// DNS label: Namespace, Service.
    Label,
    /// Anything that fits in a URL path segment: RBAC.
    PathSegment,
}

impl NameRule {
    /// What is wrong with `name`. A name to be generated may end in a dash.
    pub(super) fn check(self, name: &str, prefix: bool) -> Vec<String> {
        let masked =
            if prefix && name.len() > 1 && name.ends_with('-') { format!("{}a", &name[..name.len() - 1]) } else { name.to_owned() };
        match self {
            Self::Subdomain => subdomain(&masked),
            Self::Label => label(&masked),
            Self::PathSegment => path_segment(name),
        }
    }
}

/// What is wrong with a DNS label.
pub(super) fn label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_LONGEST {
        errors.push(too_long(LABEL_LONGEST));
    }
    if !is_label(value) {
        let what = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
        errors.push(regex(what, LABEL, &["my-name", "123-abc"]));
    }
    errors
}

/// What is wrong with a DNS subdomain.
pub(super) fn subdomain(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_LONGEST {
        errors.push(format!("must be no more than {SUBDOMAIN_LONGEST} characters"));
    }
    if !value.split('.').all(is_label) {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        errors.push(regex(what, SUBDOMAIN, &["example.com"]));
    }
    errors
}

/// What is wrong with the key of a label or annotation.
pub(crate) fn qualified_name(key: &str) -> Vec<String> {
    let what = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let examples = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            let text = regex(what, KEY, &examples);
            return vec![format!("a valid label key {text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
        Some(("", name)) => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            errors.extend(subdomain(prefix).into_iter().map(|e| format!("prefix part {e}")));
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LONGEST {
        errors.push(format!("name part {}", too_long(LABEL_LONGEST)));
    }
    if !is_key(name) {
        errors.push(format!("name part {}", regex(what, KEY, &examples)));
    }
    errors
}

/// What is wrong with the value of a label.
pub(super) fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_LONGEST {
        errors.push(too_long(LABEL_LONGEST));
    }
    if !value.is_empty() && !is_key(value) {
        let what = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        errors.push(regex(what, &format!("({KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// What is wrong with a key of a ConfigMap or Secret.
pub(super) fn data_key(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > SUBDOMAIN_LONGEST {
        errors.push(too_long(SUBDOMAIN_LONGEST));
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        let what = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(regex(what, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match key {
        "." => errors.push("must not be '.'".to_owned()),
        ".." => errors.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// What is wrong with the name of a container port.
pub(super) fn port_name(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 15 {
        errors.push(too_long(15));
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

fn path_segment(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if matches!(name, "." | "..") {
        errors.push(format!("may not be '{name}'"));
    }
    errors.extend(["/", "%"].into_iter().filter(|c| name.contains(c)).map(|c| format!("may not contain '{c}'")));
    errors
}

fn is_label(value: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = value.as_bytes();
    bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain) && bytes.iter().all(|b| plain(b) || *b == b'-')
}

fn is_key(value: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric();
    let bytes = value.as_bytes();
    bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain) && bytes.iter().all(|b| plain(b) || matches!(b, b'-' | b'_' | b'.'))
}

fn too_long(longest: usize) -> String {
    format!("must be no more than {longest} bytes")
}

/// The odd comma before `or` is the real server's.
fn regex(what: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{what} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}
