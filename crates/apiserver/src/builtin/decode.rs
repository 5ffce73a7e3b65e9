//! Decoding into typed objects, as Go's decoder would: unknown fields, wrong types.

use std::collections::HashSet;
use std::fmt;

use base64::Engine;
use serde_json::{Map, Value};

use super::quantity;
use crate::schema::{Additional, Node, Type, text};
use crate::texts::Texts;

/// A field of the wrong type in a body of a built-in kind. Displays as the error of Go's JSON decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// What was found: `string`, `number`, `bool`, `array`, `object`.
    found: String,
    /// The innermost Go struct: `DeploymentSpec`.
    owner: String,
    /// Path without list indices: `spec.replicas`.
    path: String,
    /// The Go type wanted: `int32`, `[]v1.Container`.
    wanted: String,
    /// An error of a type that decodes itself, which names no field.
    special: Option<String>,
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.special {
            Some(text) => f.write_str(text),
            None => {
                let Self { found, owner, path, wanted, .. } = self;
                write!(f, "json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}")
            }
        }
    }
}

impl std::error::Error for TypeError {}

impl TypeError {
    /// The same error as a strategic merge patch gets it.
    pub fn unstructured(&self) -> String {
        match self.wanted.as_str() {
            _ if self.special.is_some() => self.to_string(),
            wanted if wanted.starts_with("[]") => format!("cannot restore slice from {}", self.found),
            wanted if wanted.starts_with("map[") => format!("cannot restore map from {}", self.found),
            wanted if wanted.contains('.') => format!("cannot restore struct from: {}", self.found),
            wanted => format!("unrecognized type: {wanted}"),
        }
    }

    /// The same error as a server-side apply gets it: `.spec.replicas: expected numeric (int or float), got string`.
    pub fn typed(&self) -> String {
        let wanted = match self.wanted.as_str() {
            "int32" | "int64" => "numeric (int or float)",
            "bool" => "boolean",
            wanted if wanted.starts_with("[]") => "list",
            wanted if wanted.starts_with("map[") || wanted.contains('.') => "map",
            _ => "string",
        };
        let found = match self.found.as_str() {
            "object" => "map",
            "array" => "list",
            "bool" => "boolean",
            found if found.starts_with("number") => "int64",
            found => found,
        };
        format!(".{}: expected {wanted}, got {found}", self.path)
    }
}

/// Checks a whole object; drops nulls and unknown fields, and returns the paths of the latter. Bytes lose their line breaks.
pub(super) fn check(root: &Node, object: &mut Value) -> Result<Vec<String>, TypeError> {
    let mut decoder = Decoder { unknown: Texts::default(), path: String::new(), fields: Vec::new(), owners: Vec::new(), schema: None };
    decoder.value(root, object)?;
    Ok(decoder.unknown.into_vec())
}

/// Checks what stands at `field` of an object.
pub(super) fn check_below(field: &str, node: &Node, value: &mut Value) -> Result<Vec<String>, TypeError> {
    let mut decoder = Decoder {
        unknown: Texts::default(),
        path: field.to_owned(),
        fields: vec![field.to_owned()],
        owners: vec!["ObjectMeta".to_owned()],
        schema: None,
    };
    decoder.value(node, value)?;
    Ok(decoder.unknown.into_vec())
}

/// The one type that holds itself.
const SCHEMA: &str = "v1.JSONSchemaProps";

struct Decoder<'n> {
    unknown: Texts,
    /// With indices, for unknown fields.
    path: String,
    /// Struct fields only, for type errors.
    fields: Vec<String>,
    owners: Vec<String>,
    /// What [`SCHEMA`] is, once inside of one.
    schema: Option<&'n Node>,
}

impl<'n> Decoder<'n> {
    fn value(&mut self, node: &'n Node, value: &mut Value) -> Result<(), TypeError> {
        if let Some(schema) = self.schema
            && node.kind == Type::Any
        {
            return self.schemas(schema, node, value);
        }
        if node.definition.as_deref() == Some(quantity::DEFINITION) && !value.is_null() {
            let wrong = |text| TypeError { special: Some(text), ..self.wrong(node, "string".to_owned()) };
            return quantity::normalize(value).map_err(wrong);
        }
        match (node.kind, &mut *value) {
            (Type::Any, _) | (_, Value::Null) | (Type::Boolean, Value::Bool(_)) => Ok(()),
            (Type::Object, _) if node.definition.as_deref() == Some("v1.JSON") => Ok(()),
            (Type::Object, Value::Object(_)) => self.object(node, value),
            (Type::Array, Value::Array(items)) => {
                let Some(child) = node.items.as_deref() else { return Ok(()) };
                let len = self.path.len();
                for (index, item) in items.iter_mut().enumerate() {
                    if item.is_null() {
                        *item = zero(child);
                        continue;
                    }
                    self.path.push_str(&format!("[{index}]"));
                    self.value(child, item)?;
                    self.path.truncate(len);
                }
                Ok(())
            }
            (Type::String, Value::String(s)) => self.string(node, s),
            (Type::IntOrString, Value::String(_)) => Ok(()),
            (Type::IntOrString, Value::Number(n)) if n.is_i64() => Ok(()),
            (Type::Number, Value::Number(_)) => Ok(()),
            (Type::Integer, Value::Number(n)) => {
                let fits = n.as_i64().is_some_and(|i| node.format.as_deref() != Some("int32") || i32::try_from(i).is_ok());
                if fits { Ok(()) } else { Err(self.wrong(node, format!("number {}", text::number(n)))) }
            }
            (_, other) => {
                let found = match other {
                    Value::Null | Value::Object(_) => "object",
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                };
                Err(self.wrong(node, found.to_owned()))
            }
        }
    }

    /// What stands for a schema inside of a schema, where the node has no fields of its own: one, several of them, or something else.
    fn schemas(&mut self, schema: &'n Node, node: &'n Node, value: &mut Value) -> Result<(), TypeError> {
        let Some(name) = node.definition.as_deref() else { return self.value(schema, value) };
        // These decode themselves, and tell nobody which fields they do not know.
        let unknown = std::mem::take(&mut self.unknown);
        let decoded = match (name, value) {
            (name, inner @ Value::Object(_)) if name.starts_with("v1.JSONSchemaPropsOr") => self.value(schema, inner),
            ("v1.JSONSchemaPropsOrArray", Value::Array(items)) => items.iter_mut().try_for_each(|item| self.value(schema, item)),
            _ => Ok(()),
        };
        self.unknown = unknown;
        decoded
    }

    fn object(&mut self, node: &'n Node, value: &mut Value) -> Result<(), TypeError> {
        let Value::Object(fields) = value else { return Ok(()) };
        if node.definition.as_deref() == Some(SCHEMA) {
            self.schema = Some(node);
        }
        let owner = node.definition.as_deref().map(|name| name.rsplit('.').next().unwrap_or(name).to_owned());
        let owned = owner.is_some();
        self.owners.extend(owner);
        let len = self.path.len();
        let mut unknown = HashSet::new();
        for (name, field) in fields.iter_mut() {
            if len > 0 {
                self.path.push('.');
            }
            self.path.push_str(name);
            if let Some(child) = node.properties.get(name.as_str()) {
                self.fields.push(name.clone());
                self.value(child, field)?;
                self.fields.pop();
            } else if let Additional::Schema(child) = &node.additional {
                // A null in a map of strings is an empty one, as Go reads it.
                if field.is_null() && child.kind == Type::String {
                    *field = Value::from("");
                }
                self.value(child, field)?;
            } else if !node.preserve && matches!(node.additional, Additional::None) {
                self.unknown.push(|| self.path.clone());
                unknown.insert(name.clone());
            }
            self.path.truncate(len);
        }
        if !unknown.is_empty() {
            fields.retain(|name, _| !unknown.contains(name));
        }
        if !node.preserve {
            fields.retain(|_, field| !field.is_null());
        }
        if owned {
            self.owners.pop();
        }
        Ok(())
    }

    fn string(&self, node: &Node, s: &mut String) -> Result<(), TypeError> {
        let special = match node.format.as_deref() {
            Some("byte") => {
                // Go passes over line breaks, and a cluster keeps bytes: it writes them without any.
                s.retain(|c| !matches!(c, '\n' | '\r'));
                base64::engine::general_purpose::STANDARD.decode(&*s).err().map(|e| {
                    let at = match e {
                        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => s.len(),
                    };
                    format!("illegal base64 data at input byte {at}")
                })
            }
            Some("date-time") if s.parse::<jiff::Timestamp>().is_err() => {
                let quoted = text::quoted(s);
                Some(format!("parsing time {quoted} as \"2006-01-02T15:04:05Z07:00\": cannot parse {quoted} as \"2006\""))
            }
            _ => None,
        };
        match special {
            Some(special) => Err(TypeError { special: Some(special), ..self.wrong(node, "string".to_owned()) }),
            None => Ok(()),
        }
    }

    fn wrong(&self, node: &Node, found: String) -> TypeError {
        TypeError {
            found,
            owner: self.owners.last().cloned().unwrap_or_default(),
            path: self.fields.join("."),
            wanted: go_type(node),
            special: None,
        }
    }
}

/// What Go reads for a null in a list.
fn zero(node: &Node) -> Value {
    if node.definition.as_deref() == Some(quantity::DEFINITION) {
        return Value::from("0");
    }
    match node.kind {
        Type::Any => Value::Null,
        // What holds any JSON holds a null as well.
        Type::Object if node.preserve => Value::Null,
        Type::Array => Value::Array(Vec::new()),
        Type::Object => Value::Object(Map::new()),
        Type::String => Value::from(""),
        Type::Boolean => Value::Bool(false),
        Type::Integer | Type::Number | Type::IntOrString => Value::from(0),
    }
}

fn go_type(node: &Node) -> String {
    match node.kind {
        Type::Array => format!("[]{}", node.items.as_deref().map_or_else(|| "interface {}".to_owned(), go_type)),
        Type::Object => match (&node.definition, node.additional.schema()) {
            (Some(definition), _) => definition.to_string(),
            (None, Some(child)) => format!("map[string]{}", go_type(child)),
            (None, None) => "map[string]interface {}".to_owned(),
        },
        Type::String => if node.format.as_deref() == Some("byte") { "[]uint8" } else { "string" }.to_owned(),
        Type::Integer => node.format.as_deref().unwrap_or("int64").to_owned(),
        Type::Number => "float64".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::IntOrString => "intstr.IntOrString".to_owned(),
        Type::Any => "interface {}".to_owned(),
    }
}
