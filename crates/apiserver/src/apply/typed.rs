//! A schema as merging sees it: which fields there are, and whether a value is a map, a list or one piece.

use serde_json::Value;

use super::element::{Element, Scalar};
use crate::builtin;
use crate::schema::{Additional, ListType, Node, Type};

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Typed<'s> {
    /// A whole object: it has metadata, a kind and a version, whether its schema says so or not.
    Object(&'s Node),
    Node(&'s Node),
    /// Text, of a field that schemas leave out.
    Text,
    /// Anything: its shape is the value's own.
    Free,
}

/// What merging does with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape<'s> {
    /// Merges field by field.
    Map,
    /// Merges item by item: with keys, or as a set.
    Keyed(&'s [String]),
    Set,
    /// Replaced as a whole.
    Leaf,
}

impl<'s> Typed<'s> {
    /// The type of a field or of a map's value; none when the schema has no such field.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        let (node, object) = match self {
            Self::Object(node) => (node, true),
            Self::Node(node) => (node, node.embedded),
            Self::Text => return None,
            Self::Free => return Some(Self::Free),
        };
        if object {
            match name {
                "apiVersion" | "kind" => return Some(Self::Text),
                "metadata" => return Some(Self::Node(builtin::object_meta())),
                _ => {}
            }
        }
        if let Some(child) = node.properties.get(name) {
            return Some(Self::Node(child));
        }
        match &node.additional {
            Additional::Schema(child) => Some(Self::Node(child)),
            Additional::Any => Some(Self::Free),
            Additional::None => is_free(node).then_some(Self::Free),
        }
    }

    /// Whether the schema names this field: entries of maps have no names.
    pub(super) fn names(self, name: &str) -> bool {
        match self {
            Self::Object(node) => matches!(name, "apiVersion" | "kind" | "metadata") || node.properties.contains_key(name),
            Self::Node(node) => node.embedded && matches!(name, "apiVersion" | "kind" | "metadata") || node.properties.contains_key(name),
            Self::Text | Self::Free => false,
        }
    }

    /// What stands for a field that is not there, where the kind always has it.
    pub(super) fn blank(self, name: &str) -> Option<Value> {
        match self {
            Self::Object(node) => blank(node.definition.as_deref()?, true, name),
            Self::Node(node) => blank(node.definition.as_deref()?, false, name),
            Self::Text | Self::Free => None,
        }
    }

    /// The type of a list's items.
    pub(super) fn items(self) -> Self {
        match self {
            Self::Node(node) => node.items.as_deref().map_or(Self::Free, Self::Node),
            Self::Object(_) | Self::Text | Self::Free => Self::Free,
        }
    }

    /// The type below a path element.
    pub(super) fn below(self, element: &Element) -> Option<Self> {
        match element {
            Element::Field(name) => self.field(name),
            Element::Key(_) | Element::Item(_) | Element::Index(_) => Some(self.items()),
        }
    }

    /// How a value of this type merges. A value of the wrong type is one piece.
    pub(super) fn shape(self, value: &Value) -> Shape<'s> {
        match (self, value) {
            (Self::Object(_), Value::Object(_)) | (Self::Free, Value::Object(_)) => Shape::Map,
            (Self::Node(node), Value::Object(_)) if matches!(node.kind, Type::Object | Type::Any) && !node.atomic_map => Shape::Map,
            (Self::Node(node), Value::Array(_)) if node.kind == Type::Array => match &node.list {
                ListType::Atomic => Shape::Leaf,
                ListType::Set => Shape::Set,
                ListType::Map(keys) => Shape::Keyed(keys),
            },
            _ => Shape::Leaf,
        }
    }

    /// Whether values of this type are owned as a whole, whatever is in them.
    pub(super) fn is_atomic(self) -> bool {
        match self {
            Self::Node(node) => node.atomic_map || node.kind == Type::Array && node.list == ListType::Atomic,
            Self::Object(_) | Self::Text | Self::Free => false,
        }
    }
}

/// The value of a field that the built-in kinds always have, as it is before anybody sets it: Go's structs that are no pointers.
fn blank(owner: &str, root: bool, field: &str) -> Option<Value> {
    let whole = match (owner, field) {
        (_, "metadata" | "spec" | "status" | "source") if root => true,
        (_, "template" | "strategy" | "updateStrategy") => owner.ends_with("Spec"),
        ("v1.PodTemplateSpec", "metadata" | "spec") => true,
        ("v1.ServiceStatus", "loadBalancer") | ("v1.NodeStatus", "nodeInfo" | "daemonEndpoints") => true,
        ("v1.NodeDaemonEndpoints", "kubeletEndpoint") => true,
        ("v1.PodSpec", "containers") => return Some(Value::Array(Vec::new())),
        _ => false,
    };
    whole.then(|| Value::Object(serde_json::Map::new()))
}

/// A node that says nothing about what is in it.
pub(super) fn is_free(node: &Node) -> bool {
    node.preserve || node.kind == Type::Any && node.properties.is_empty()
}

/// The path element of an item of a list that merges.
pub(super) fn item_element(shape: Shape<'_>, items: Typed<'_>, item: &Value) -> Result<Element, String> {
    match (shape, item) {
        (Shape::Keyed(keys), Value::Object(fields)) => {
            let value = |key: &str| fields.get(key).or_else(|| default_of(items, key)).cloned();
            let found: Vec<_> = keys.iter().filter_map(|key| Some((key.as_str().into(), Scalar(value(key)?)))).collect();
            if found.is_empty() && !keys.is_empty() {
                let names: Vec<String> = keys.iter().map(|k| format!("{k:?}")).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                    names.join(" ")
                ));
            }
            Ok(Element::key(found))
        }
        (Shape::Keyed(_), Value::Null) => Err("associative list with keys may not have a null element".to_owned()),
        (Shape::Keyed(_), _) => Err("associative list with keys may not have non-map elements".to_owned()),
        (_, Value::Object(_)) => Err("associative list without keys has an element that's a map type".to_owned()),
        (_, Value::Array(_)) => Err("not supported: associative list with lists as elements".to_owned()),
        (_, Value::Null) => Err("associative list without keys has an element that's an explicit null".to_owned()),
        (_, scalar) => Ok(Element::Item(Scalar(scalar.clone()))),
    }
}

fn default_of<'s>(items: Typed<'s>, key: &str) -> Option<&'s Value> {
    match items {
        Typed::Node(node) => node.properties.get(key)?.default.as_ref(),
        _ => None,
    }
}
