//! One node of a structural schema, parsed.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{cel::Rule, junctors::Junctors, number::Bounds, pattern::Pattern};

/// Deepest nesting of a schema. Objects nest no deeper than serde_json's 128, and no real CRD goes beyond 40.
const MAX_DEPTH: usize = 100;
/// Most nodes in one schema: a whole PodSpec has some 2,000.
const MAX_NODES: usize = 100_000;

/// The type of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Type {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
}

impl Type {
    /// The name as error messages give it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }
}

/// What `additionalProperties` says about fields that `properties` does not list.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    /// Not given: unknown fields are pruned.
    #[default]
    None,
    /// `true`.
    Any,
    /// A schema: the node is a map.
    Schema(Arc<Node>),
}

impl Additional {
    pub(crate) fn schema(&self) -> Option<&Node> {
        match self {
            Self::Schema(node) => Some(node),
            Self::None | Self::Any => None,
        }
    }
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What holds for a node or anything below it, so that walks skip what they have nothing to do in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deep {
    pub(crate) rules: bool,
    pub(crate) defaults: bool,
    pub(crate) unique: bool,
}

/// Checks of scalar values, boxed because most nodes have none.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) pattern: Option<Pattern>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) unique_items: bool,
    pub(super) bounds: Bounds,
    pub(super) allowed: Vec<Value>,
    pub(super) required: Vec<String>,
    pub(super) junctors: Junctors,
}

/// One node of a structural schema.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: Type,
    pub(crate) format: Option<Box<str>>,
    pub(crate) nullable: bool,
    pub(crate) preserve: bool,
    pub(crate) embedded: bool,
    pub(crate) atomic_map: bool,
    pub(crate) properties: BTreeMap<Box<str>, Arc<Node>>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Arc<Node>>,
    pub(crate) default: Option<Value>,
    pub(crate) list: ListType,
    pub(super) checks: Option<Box<Checks>>,
    pub(super) rules: Vec<Rule>,
    pub(crate) deep: Deep,
    /// Last segment of the definition this node came from by `$ref`, with its version: `v1.PodSpec`. Only built-in kinds have it.
    pub(crate) definition: Option<Arc<str>>,
}

impl Node {
    pub(crate) fn parse(schema: &Value) -> Result<Self, String> {
        Parser::default().node(schema, 0).map_err(|e| e.to_string())
    }
}

/// Why a schema is not usable, and where.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {what}", at = if .path.is_empty() { "openAPIV3Schema" } else { .path.as_str() })]
pub(crate) struct SchemaError {
    path: String,
    what: String,
}

impl SchemaError {
    fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    fn under(mut self, segment: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{segment}{separator}{}", self.path);
        self
    }
}

/// Parses schemas; keeps the definitions it has seen.
#[derive(Debug, Default)]
pub(crate) struct Parser<'d> {
    definitions: Option<&'d Map<String, Value>>,
    parsed: BTreeMap<String, Option<Arc<Node>>>,
    nodes: usize,
}

impl<'d> Parser<'d> {
    pub(crate) fn with_definitions(definitions: &'d Map<String, Value>) -> Self {
        Self { definitions: Some(definitions), ..Self::default() }
    }

    fn child(&mut self, schema: &Value, depth: usize) -> Result<Arc<Node>, SchemaError> {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.definition(reference, depth),
            None => self.node(schema, depth).map(Arc::new),
        }
    }

    /// The node of a definition, for a kind that is a root.
    pub(crate) fn root(&mut self, name: &str) -> Result<Arc<Node>, String> {
        self.definition(name, 0).map_err(|e| e.to_string())
    }

    fn definition(&mut self, reference: &str, depth: usize) -> Result<Arc<Node>, SchemaError> {
        let definitions = self.definitions.ok_or_else(|| SchemaError::new("$ref is not allowed in a structural schema"))?;
        let name = reference.rsplit('/').next().unwrap_or(reference);
        match self.parsed.get(name) {
            Some(Some(node)) => return Ok(node.clone()),
            // The definition is being read further up: it contains itself.
            Some(None) => return Ok(Arc::new(Node { preserve: true, nullable: true, ..Node::default() })),
            None => {}
        }
        let schema = definitions.get(name).ok_or_else(|| SchemaError::new(format!("{reference} is not defined")))?;
        self.parsed.insert(name.to_owned(), None);
        let mut node = self.node(schema, depth + 1)?;
        let mut segments = name.rsplit('.');
        if let (Some(kind), Some(version)) = (segments.next(), segments.next()) {
            node.definition = Some(format!("{version}.{kind}").into());
        }
        // RawExtension, FieldsV1, JSON: types that hold whatever they are given.
        node.preserve |=
            matches!(node.kind, Type::Object | Type::Any) && node.properties.is_empty() && matches!(node.additional, Additional::None);
        let node = Arc::new(node);
        self.parsed.insert(name.to_owned(), Some(node.clone()));
        Ok(node)
    }

    pub(super) fn node(&mut self, schema: &Value, depth: usize) -> Result<Node, SchemaError> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(SchemaError::new(format!("schema nests deeper than {MAX_DEPTH} or has more than {MAX_NODES} nodes")));
        }
        let Value::Object(schema) = schema else {
            return Err(SchemaError::new("a schema must be an object"));
        };
        let mut node = Node {
            kind: kind_of(schema)?,
            nullable: flag(schema, "nullable"),
            preserve: flag(schema, "x-kubernetes-preserve-unknown-fields"),
            embedded: flag(schema, "x-kubernetes-embedded-resource"),
            atomic_map: schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
            default: schema.get("default").filter(|v| !v.is_null()).cloned(),
            list: list_type(schema)?,
            ..Node::default()
        };
        node.format = schema.get("format").and_then(Value::as_str).filter(|f| super::format::applies(f, node.kind)).map(Into::into);
        for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let child = self.child(child, depth + 1).map_err(|e| e.under(name))?;
            node.properties.insert(name.as_str().into(), child);
        }
        if let Some(items) = schema.get("items") {
            node.items = Some(self.child(items, depth + 1).map_err(|e| e.under("[]"))?);
        }
        node.additional = match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => Additional::None,
            Some(Value::Bool(true)) => Additional::Any,
            Some(child) => Additional::Schema(self.child(child, depth + 1).map_err(|e| e.under("[*]"))?),
        };
        node.checks = self.checks(schema, depth)?.map(Box::new);
        node.rules = Rule::parse_all(schema).map_err(SchemaError::new)?;
        node.deep = deep(&node);
        Ok(node)
    }

    fn checks(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Option<Checks>, SchemaError> {
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        let pattern = match schema.get("pattern").and_then(Value::as_str).filter(|p| !p.is_empty()) {
            Some(pattern) => Some(Pattern::new(pattern).map_err(|e| SchemaError::new(format!("pattern {pattern:?}: {e}")))?),
            None => None,
        };
        let checks = Checks {
            pattern,
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            unique_items: flag(schema, "uniqueItems"),
            bounds: Bounds::parse(schema),
            allowed: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            required: strings(schema.get("required")),
            junctors: Junctors {
                all_of: self.branches(schema, "allOf", depth)?,
                any_of: self.branches(schema, "anyOf", depth)?,
                one_of: self.branches(schema, "oneOf", depth)?,
                not: schema.get("not").map(|not| self.child(not, depth + 1)).transpose()?,
            },
        };
        let keys = [
            "pattern",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "uniqueItems",
            "minimum",
            "maximum",
            "multipleOf",
            "enum",
            "required",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
        ];
        Ok(keys.iter().any(|key| schema.contains_key(*key)).then_some(checks))
    }

    fn branches(&mut self, schema: &Map<String, Value>, key: &str, depth: usize) -> Result<Vec<Arc<Node>>, SchemaError> {
        let branches = schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        branches.iter().map(|branch| self.child(branch, depth + 1).map_err(|e| e.under(key))).collect()
    }
}

fn deep(node: &Node) -> Deep {
    let mut deep = Deep { rules: !node.rules.is_empty(), defaults: node.default.is_some(), unique: node.list != ListType::Atomic };
    let children = node.properties.values().map(AsRef::as_ref).chain(node.items.as_deref()).chain(node.additional.schema());
    for child in children {
        deep.rules |= child.deep.rules;
        deep.defaults |= child.deep.defaults;
        deep.unique |= child.deep.unique;
    }
    let all_of = node.checks.iter().flat_map(|checks| &checks.junctors.all_of);
    deep.rules |= all_of.into_iter().any(|branch| branch.deep.rules);
    deep
}

fn kind_of(schema: &Map<String, Value>) -> Result<Type, SchemaError> {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Ok(Type::IntOrString);
    }
    match schema.get("type").and_then(Value::as_str) {
        None | Some("") => Ok(Type::Any),
        Some("object") => Ok(Type::Object),
        Some("array") => Ok(Type::Array),
        Some("string") => Ok(Type::String),
        Some("integer") => Ok(Type::Integer),
        Some("number") => Ok(Type::Number),
        Some("boolean") => Ok(Type::Boolean),
        Some(other) => Err(SchemaError::new(format!(
            "type: Unsupported value: {other:?}: supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\""
        ))),
    }
}

fn list_type(schema: &Map<String, Value>) -> Result<ListType, SchemaError> {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        None | Some("atomic") => Ok(ListType::Atomic),
        Some("set") => Ok(ListType::Set),
        Some("map") => Ok(ListType::Map(strings(schema.get("x-kubernetes-list-map-keys")))),
        Some(other) => Err(SchemaError::new(format!("x-kubernetes-list-type: Unsupported value: {other:?}"))),
    }
}

fn flag(schema: &Map<String, Value>, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool) == Some(true)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
