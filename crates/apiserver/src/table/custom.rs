//! Columns of custom resources, from `additionalPrinterColumns`.

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, age, json_path::JsonPath, text};
use crate::schema::text as go;

/// Where the cells of a column come from.
#[derive(Clone, Debug)]
pub(super) struct CustomColumn {
    kind: String,
    /// None when the path does not parse: the cells are empty.
    path: Option<JsonPath>,
}

/// The columns of a CRD version after the name; without any, the age.
pub(super) fn parse(version: &Value) -> Vec<(Column, CustomColumn)> {
    let given = version["additionalPrinterColumns"].as_array().map(Vec::as_slice).unwrap_or_default();
    if given.is_empty() {
        return vec![column("Age", "date", "", 0, ".metadata.creationTimestamp", "")];
    }
    let parse = |given: &Value| {
        let (name, kind, path) = (text(given, "name"), text(given, "type"), text(given, "jsonPath"));
        column(name, kind, text(given, "format"), given["priority"].as_i64().unwrap_or_default(), path, text(given, "description"))
    };
    given.iter().map(parse).collect()
}

fn column(name: &str, kind: &str, format: &str, priority: i64, path: &str, description: &str) -> (Column, CustomColumn) {
    let description = match description {
        "" => format!("Custom resource definition column (in JSONPath format): {path}"),
        given => given.to_owned(),
    };
    let column = Column { name: name.to_owned(), kind: kind.to_owned(), format: format.to_owned(), description, priority };
    (column, CustomColumn { kind: kind.to_owned(), path: JsonPath::parse(path) })
}

impl CustomColumn {
    /// The first value that the path finds, as the column's type wants it; null when there is none or it is of another type.
    pub(super) fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(found) = self.path.as_ref().and_then(|path| path.first(object)) else { return Value::Null };
        match (self.kind.as_str(), found) {
            (_, Value::Null) => Value::Null,
            ("integer", Value::Number(n)) => n.as_i64().or(n.as_f64().map(|f| f as i64)).into(),
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => found.clone(),
            ("string", Value::Number(n)) => go::number(n).into(),
            ("string", Value::Bool(b)) => b.to_string().into(),
            ("string", other) => go::json(other).into(),
            ("date", Value::String(time)) => match time.parse::<Timestamp>() {
                Ok(_) => age::since(found, now).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}
