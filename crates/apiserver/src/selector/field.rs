//! Field selectors: `metadata.name=x,status.phase!=Running`.

use serde_json::Value;

use crate::registry::Resource;

/// Fields that can be selected, beside `metadata.name` and `metadata.namespace`: group, plural, paths.
const SELECTABLE: &[(&str, &str, &[&str])] = &[
    (
        "",
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
        ],
    ),
    (
        "",
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    (
        "events.k8s.io",
        "events",
        &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "reason",
            "reportingController",
            "type",
        ],
    ),
    ("", "namespaces", &["status.phase"]),
    ("", "secrets", &["type"]),
    ("", "services", &["spec.clusterIP", "spec.type"]),
    ("", "nodes", &["spec.unschedulable"]),
    ("apps", "replicasets", &["status.replicas"]),
    ("batch", "jobs", &["status.successful"]),
];

const NAME: &[&str] = &["metadata", "name"];
const NAMESPACE: &[&str] = &["metadata", "namespace"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl Term {
    fn of(&self, path: &[&str]) -> bool {
        self.path == path
    }
}

/// All terms must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Term>);

impl FieldSelector {
    pub(crate) fn parse(text: &str, resource: &Resource) -> Result<Self, String> {
        let mut terms = Vec::new();
        for term in split(text) {
            if term.is_empty() {
                continue;
            }
            let (field, value, equal) = if let Some((field, value)) = term.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = term.split_once("==") {
                (field, value, true)
            } else if let Some((field, value)) = term.split_once('=') {
                (field, value, true)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            let known = matches!(field, "metadata.name" | "metadata.namespace")
                || SELECTABLE.iter().any(|(g, p, fields)| resource.is(g, p) && fields.contains(&field))
                || resource.selectable.iter().any(|f| f == field);
            if !known {
                let of_its_own = resource.is_custom() || SELECTABLE.iter().any(|(group, plural, _)| resource.is(group, plural));
                return Err(if of_its_own {
                    format!("field label not supported: {field}")
                } else {
                    format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
                });
            }
            terms.push(Term { path: stored_path(field), value: unescape(value), equal });
        }
        Ok(Self(terms))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing but names and namespaces are selected, so that [`FieldSelector::may_match`] has decided.
    pub(crate) fn is_of_names(&self) -> bool {
        self.0.iter().all(|term| term.of(NAME) || term.of(NAMESPACE))
    }

    /// Whether an object in this place may be selected.
    pub(crate) fn may_match(&self, namespace: &str, name: &str) -> bool {
        let fits = |term: &Term, path: &[&str], text: &str| !term.of(path) || (text == term.value) == term.equal;
        self.0.iter().all(|term| fits(term, NAME, name) && fits(term, NAMESPACE, namespace))
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| {
            let found = term.path.iter().try_fold(object, |value, key| value.get(key.as_str()));
            let text = match found {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            };
            (text == term.value) == term.equal
        })
    }
}

/// Where a field is in the object as it is kept; events.k8s.io shows core Events under other names.
fn stored_path(field: &str) -> Vec<String> {
    let field = match field {
        "source" => "source.component".to_owned(),
        "reportingController" => "reportingComponent".to_owned(),
        other => other.strip_prefix("regarding.").map_or_else(|| other.to_owned(), |rest| format!("involvedObject.{rest}")),
    };
    field.split('.').map(str::to_owned).collect()
}

/// Splits at commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            ',' if !escaped => {
                terms.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => escaped = false,
        }
    }
    terms.push(text.get(start..).unwrap_or_default());
    terms
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}
