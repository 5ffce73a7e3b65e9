//! One step of a path into an object.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

/// A scalar with an order: numbers, then texts, then booleans, then null.
#[derive(Clone, Debug)]
pub(crate) struct Scalar(pub(crate) Value);

impl Scalar {
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Null => 3,
            Value::Array(_) | Value::Object(_) => 4,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
            },
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (a, b) if self.rank() == other.rank() && self.rank() == 4 => a.to_string().cmp(&b.to_string()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

/// One step of a path. Fields come before keys, keys before values, as in `FieldsV1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A field of an object or an entry of a map.
    Field(Box<str>),
    /// The item of a list whose key fields have these values; sorted by name.
    Key(Vec<(Box<str>, Scalar)>),
    /// The item of a set.
    Item(Scalar),
    /// The item at a place. Never made here, but found in what others wrote.
    Index(i64),
}

impl Element {
    pub(crate) fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// Reads `f:name`, `k:{"name":"a"}`, `v:"a"`, `i:0`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| format!("{text}: {e}"));
        match text.split_at_checked(2) {
            Some(("f:", name)) => Ok(Self::field(name)),
            Some(("k:", keys)) => match json(keys)? {
                Value::Object(keys) => Ok(Self::key(keys.into_iter().map(|(name, value)| (name.into(), Scalar(value))).collect())),
                _ => Err(format!("{text}: not a key")),
            },
            Some(("v:", value)) => Ok(Self::Item(Scalar(json(value)?))),
            Some(("i:", index)) => index.parse().map(Self::Index).map_err(|e| format!("{text}: {e}")),
            _ => Err(format!("{text}: unknown path element")),
        }
    }

    pub(crate) fn key(mut keys: Vec<(Box<str>, Scalar)>) -> Self {
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Key(keys)
    }

    /// As `FieldsV1` has it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let map: Map<String, Value> = keys.iter().map(|(name, value)| (name.to_string(), value.0.clone())).collect();
                format!("k:{}", Value::Object(map))
            }
            Self::Item(value) => format!("v:{}", value.0),
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

/// As error messages show it: `.name`, `[name="a"]`, `[="a"]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={}", value.0)).collect();
                write!(f, "[{}]", keys.join(","))
            }
            Self::Item(value) => write!(f, "[={}]", value.0),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}
