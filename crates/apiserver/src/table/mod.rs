//! Tables: the columns that `kubectl get` prints.

pub mod age;
mod apps;
mod columns;
mod core;
mod custom;
mod json_path;
mod pod;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::builtin::Builtin;
use columns::Cells;
use custom::CustomColumn;

/// One entry of a Table's `columnDefinitions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading, `Name`.
    pub name: String,
    /// JSON schema type of the cells, `string`.
    pub kind: String,
    /// Format; `name` for the name column.
    pub format: String,
    /// What the column shows.
    pub description: String,
    /// 0 is always printed, 1 only by `-o wide`.
    pub priority: i64,
}

impl Column {
    /// The column as it stands in `columnDefinitions`: all five members, always.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format, "description": self.description, "priority": self.priority,
        })
    }

    fn name() -> Self {
        Self {
            name: "Name".to_owned(),
            kind: "string".to_owned(),
            format: "name".to_owned(),
            description: "The object's name, unique among objects of its kind in its namespace.".to_owned(),
            priority: 0,
        }
    }
}

/// The table layout of one resource.
#[derive(Clone, Debug)]
pub struct Layout {
    columns: Vec<Column>,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Builtin(Cells),
    Custom(Vec<CustomColumn>),
}

impl Layout {
    /// The layout of a built-in kind.
    pub fn builtin(kind: &Builtin) -> Self {
        let (columns, cells) = columns::of(kind);
        Self { columns, source: Source::Builtin(cells) }
    }

    /// The layout of one CRD version (an element of `spec.versions`), by its `additionalPrinterColumns`.
    pub fn crd(version: &Value) -> Self {
        let (mut columns, custom): (Vec<_>, Vec<_>) = custom::parse(version).into_iter().unzip();
        columns.insert(0, Column::name());
        Self { columns, source: Source::Custom(custom) }
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The cells of one object's row, one per column; ages are counted to `now`.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match &self.source {
            Source::Builtin(cells) => cells(object, now),
            Source::Custom(columns) => {
                let name = object["metadata"]["name"].clone();
                std::iter::once(name).chain(columns.iter().map(|column| column.cell(object, now))).collect()
            }
        }
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn or<'t>(text: &'t str, fallback: &'t str) -> &'t str {
    if text.is_empty() { fallback } else { text }
}

/// `a=b,c=d` with sorted keys; `<none>` without labels.
fn labels(labels: &Value) -> String {
    let mut pairs: Vec<String> =
        labels.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    pairs.sort();
    or(&pairs.join(","), "<none>").to_owned()
}

fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

fn created(object: &Value, now: Timestamp) -> Value {
    age::since(&object["metadata"]["creationTimestamp"], now).into()
}
