//! The types of CEL, as far as a schema and the functions have them.

use std::fmt;
use std::rc::Rc;

use crate::schema::{Additional, Node, Type, escaping};

/// A type of more parts is as good as none: no rule needs one, and types of types could grow without bound.
const LARGEST: usize = 400;

/// A type. What a schema says of an object is looked up where a field is selected.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ty<'n> {
    /// Found to be wrong, and told.
    Error,
    Dyn,
    Null,
    /// `bool`, `int`, `uint`, `double`, `string`, `bytes`, `duration`, `timestamp`.
    Plain(&'static str),
    /// The type of a type; of any type, when it is not known.
    Type(Option<Rc<Ty<'n>>>),
    List(Rc<Ty<'n>>),
    Map(Rc<Ty<'n>>, Rc<Ty<'n>>),
    Object(Object<'n>),
    /// A type of a library: `net.IP`, `optional_type(T)`.
    Opaque(&'static str, Vec<Ty<'n>>),
    /// A parameter of a declaration.
    Param(&'static str),
    /// What is still to be found out.
    Var(u32),
}

pub(super) const BOOL: Ty<'static> = Ty::Plain("bool");
pub(super) const INT: Ty<'static> = Ty::Plain("int");
pub(super) const STRING: Ty<'static> = Ty::Plain("string");

/// An object of a schema.
#[derive(Clone, Debug)]
pub(super) struct Object<'n> {
    name: Rc<str>,
    fields: Fields<'n>,
}

#[derive(Clone, Copy, Debug)]
enum Fields<'n> {
    /// `resource`: it has `apiVersion`, `kind` and `metadata`, whatever its schema says.
    Schema { node: &'n Node, resource: bool },
    /// `metadata` of a resource: rules see two names.
    Metadata,
}

impl PartialEq for Object<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<'n> Ty<'n> {
    /// The type of values of this node; none for what rules do not see.
    pub(super) fn of(node: &'n Node, resource: bool, name: &str) -> Option<Self> {
        if node.kind == Type::IntOrString {
            return Some(Self::Dyn);
        }
        if resource {
            return Some(Self::object(node, true, name));
        }
        Some(match node.kind {
            Type::Array => {
                let items = node.items.as_deref()?;
                Self::list(Self::of(items, items.embedded, &format!("{name}.@idx"))?)
            }
            Type::Object => match node.additional.schema() {
                Some(values) => Self::map(STRING, Self::of(values, values.embedded, &format!("{name}.@elem"))?),
                None => Self::object(node, false, name),
            },
            Type::String => match node.format.as_deref() {
                Some("byte") => Self::Plain("bytes"),
                Some("duration") => Self::Plain("duration"),
                Some("date" | "date-time") => Self::Plain("timestamp"),
                _ => STRING,
            },
            Type::Integer => INT,
            Type::Number => Self::Plain("double"),
            Type::Boolean => BOOL,
            Type::Any | Type::IntOrString => return None,
        })
    }

    fn object(node: &'n Node, resource: bool, name: &str) -> Self {
        Self::Object(Object { name: name.into(), fields: Fields::Schema { node, resource } })
    }

    pub(super) fn list(items: Self) -> Self {
        Self::bounded(Self::List(Rc::new(items)))
    }

    pub(super) fn map(keys: Self, values: Self) -> Self {
        Self::bounded(Self::Map(Rc::new(keys), Rc::new(values)))
    }

    pub(super) fn opaque(name: &'static str, of: Vec<Self>) -> Self {
        Self::bounded(Self::Opaque(name, of))
    }

    pub(super) fn optional(of: Self) -> Self {
        Self::opaque("optional_type", vec![of])
    }

    pub(super) fn type_of(of: Self) -> Self {
        Self::bounded(Self::Type(Some(Rc::new(of))))
    }

    fn bounded(self) -> Self {
        if self.size() > LARGEST { Self::Dyn } else { self }
    }

    /// Parts that are not too large make a whole that is soon counted.
    fn size(&self) -> usize {
        1 + match self {
            Self::List(items) => items.size(),
            Self::Map(keys, values) => keys.size() + values.size(),
            Self::Opaque(_, of) => of.iter().map(Self::size).sum(),
            Self::Type(Some(of)) => of.size(),
            _ => 0,
        }
    }

    /// What an optional value holds, and whether this is one.
    pub(super) fn unwrapped(&self) -> (&Self, bool) {
        match self {
            Self::Opaque("optional_type", of) => of.first().map_or((self, false), |of| (of, true)),
            _ => (self, false),
        }
    }

    pub(super) fn is_free(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// Reads a type of `functions.txt`.
    pub(super) fn parse(text: &'static str) -> Ty<'static> {
        let Some((name, rest)) = text.split_once('(') else {
            return match text {
                "dyn" => Ty::Dyn,
                "bool" | "int" | "uint" | "double" | "string" | "bytes" | "duration" | "timestamp" => Ty::Plain(text),
                _ if text.len() == 1 => Ty::Param(text),
                _ => Ty::Opaque(text, Vec::new()),
            };
        };
        let mut of = arguments(rest.strip_suffix(')').unwrap_or(rest));
        match (name, of.len()) {
            ("list", 1) => Ty::list(of.remove(0)),
            ("map", 2) => {
                let values = of.remove(1);
                Ty::map(of.remove(0), values)
            }
            ("type", 1) => Ty::type_of(of.remove(0)),
            _ => Ty::opaque(name, of),
        }
    }
}

/// Types with commas between them.
pub(super) fn arguments(text: &'static str) -> Vec<Ty<'static>> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(text.get(start..at).map(|one| Ty::parse(one.trim())));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(text.get(start..).map(str::trim).filter(|last| !last.is_empty()).map(Ty::parse));
    found
}

impl<'n> Object<'n> {
    /// The type of a field, by its name in CEL.
    pub(super) fn field(&self, name: &str) -> Option<Ty<'n>> {
        let Fields::Schema { node, resource } = self.fields else {
            return matches!(name, "name" | "generateName").then_some(STRING);
        };
        match name {
            "apiVersion" | "kind" if resource => return Some(STRING),
            "metadata" if resource => {
                let name = format!("{}.metadata", self.name).into();
                return Some(Ty::Object(Object { name, fields: Fields::Metadata }));
            }
            _ => {}
        }
        let child = node.properties.iter().find_map(|(plain, child)| escaping::means(name, plain).then_some(child))?;
        debug_assert!(!matches!(node.additional, Additional::Schema(_)), "maps are no objects");
        Ty::of(child, child.embedded, &format!("{}.{name}", self.name))
    }
}

impl fmt::Display for Ty<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error => f.write_str("!error!"),
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Plain(name) | Self::Param(name) => f.write_str(name),
            Self::Type(None) => f.write_str("type"),
            Self::Type(Some(of)) => write!(f, "type({of})"),
            Self::List(items) => write!(f, "list({items})"),
            Self::Map(keys, values) => write!(f, "map({keys}, {values})"),
            Self::Object(object) => f.write_str(&object.name),
            Self::Opaque(name, of) if of.is_empty() => f.write_str(name),
            Self::Opaque(name, of) => write!(f, "{name}({})", join(of)),
            Self::Var(number) => write!(f, "_var{number}"),
        }
    }
}

/// With commas between them.
pub(super) fn join(types: &[Ty<'_>]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
