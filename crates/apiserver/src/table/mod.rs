//! Tables: the columns that `kubectl get` prints.

use jiff::Timestamp;
use serde_json::Value;

use crate::builtin::Builtin;

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
    /// The column as it stands in `columnDefinitions`.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "name": self.name, "type": self.kind, "format": self.format, "description": self.description, "priority": self.priority,
        })
    }
}

/// The table layout of one resource.
#[derive(Clone, Debug)]
pub struct Layout {
    columns: Vec<Column>,
}

impl Layout {
    /// The layout of a built-in kind.
    pub fn builtin(kind: &Builtin) -> Self {
        let _ = kind;
        Self { columns: vec![] }
    }

    /// The layout of one CRD version (an element of `spec.versions`), by its `additionalPrinterColumns`.
    pub fn crd(version: &Value) -> Self {
        let _ = version;
        Self { columns: vec![] }
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The cells of one object's row, one per column; ages are counted to `now`.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let _ = (object, now);
        Vec::new()
    }
}
