//! The JSONPath that printer columns use: fields, indices, `[*]` and `[?(@.a.b=="x")]`.

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// Negative counts from the end.
    Index(i64),
    Every,
    Where {
        field: Vec<String>,
        equal: bool,
        value: Value,
    },
}

impl JsonPath {
    /// Parses `.a.b`, `.a[0]`, `.a['b.c']`, `.a\.b`, `.a[*].b`, `.a[?(@.type=="X")].b`; None for anything else.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = path.trim();
        let path = path.strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(path);
        let mut rest = path.strip_prefix('$').unwrap_or(path);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = if let Some(rest) = rest.strip_prefix('[') { bracket(rest)? } else { field(rest)? };
            steps.extend(step);
            rest = after;
        }
        Some(Self(steps))
    }

    /// The first value that the path leads to.
    pub(super) fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        find(&self.0, value)
    }
}

fn field(rest: &str) -> Option<(Option<Step>, &str)> {
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let mut name = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '.' | '[' => return Some(((!name.is_empty()).then(|| named(name)), &rest[at..])),
            c => name.push(c),
        }
    }
    Some(((!name.is_empty()).then(|| named(name)), ""))
}

fn named(name: String) -> Step {
    if name == "*" { Step::Every } else { Step::Field(name) }
}

fn bracket(rest: &str) -> Option<(Option<Step>, &str)> {
    if let Some(filter) = rest.strip_prefix("?(") {
        let (filter, after) = filter.split_once(")]")?;
        return Some((Some(condition(filter)?), after));
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        let (name, after) = quoted.split_once("']")?;
        return Some((Some(Step::Field(name.to_owned())), after));
    }
    let (inner, after) = rest.split_once(']')?;
    let step = match inner.trim() {
        "*" => Step::Every,
        index => Step::Index(index.parse().ok()?),
    };
    Some((Some(step), after))
}

fn condition(filter: &str) -> Option<Step> {
    let (left, equal, right) = match (filter.split_once("=="), filter.split_once("!=")) {
        (Some((left, right)), _) => (left, true, right),
        (None, Some((left, right))) => (left, false, right),
        (None, None) => return None,
    };
    let field = left.trim().strip_prefix('@')?;
    let field = field.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let right = right.trim();
    let quoted = right.strip_prefix('\'').and_then(|r| r.strip_suffix('\''));
    let value = match quoted {
        Some(text) => Value::from(text),
        None => serde_json::from_str(right).ok()?,
    };
    Some(Step::Where { field, equal, value })
}

fn find<'v>(steps: &[Step], value: &'v Value) -> Option<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => find(rest, value.get(name)?),
        Step::Index(index) => {
            let items = value.as_array()?;
            let index =
                if *index < 0 { items.len().checked_add_signed(isize::try_from(*index).ok()?)? } else { usize::try_from(*index).ok()? };
            find(rest, items.get(index)?)
        }
        Step::Every => match value {
            Value::Array(items) => items.iter().find_map(|item| find(rest, item)),
            Value::Object(fields) => fields.values().find_map(|item| find(rest, item)),
            _ => None,
        },
        Step::Where { field, equal, value: wanted } => {
            let holds = |item: &&Value| {
                let found = field.iter().try_fold(*item, |at, name| at.get(name));
                found.is_some_and(|found| (found == wanted) == *equal)
            };
            value.as_array()?.iter().filter(holds).find_map(|item| find(rest, item))
        }
    }
}
