//! JSON as CEL sees it: typed by the schema, with field names escaped as Kubernetes escapes them.

use std::{borrow::Cow, cell::OnceCell, collections::HashMap, sync::Arc};

use base64::Engine;
use kube_cel::cel::{
    Context, Program, Value as Cel,
    objects::{Key, Map},
};
use serde_json::Value;

use super::escaping::{escaped, is_reserved};
use super::{Additional, Node, Type, number};

/// Converts `value` for the rules of `node`.
pub(super) fn convert(node: &Node, value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(b) => Cel::Bool(*b),
        Value::String(s) => string(node.format.as_deref(), s),
        Value::Number(n) if node.kind == Type::Number || (number::is_float(n) && !number::is_whole(n)) => {
            Cel::Float(n.as_f64().unwrap_or(f64::NAN))
        }
        Value::Number(n) => Cel::Int(n.as_i64().unwrap_or_else(|| n.as_f64().map_or(0, |f| f as i64))),
        Value::Array(items) => {
            let item = |item| node.items.as_deref().map_or_else(|| plain(item), |child| convert(child, item));
            Cel::List(Arc::new(items.iter().map(item).collect()))
        }
        Value::Object(fields) => {
            let is_map = !matches!(node.additional, Additional::None);
            let mut shown = HashMap::with_capacity(fields.len());
            for (name, field) in fields {
                let property = node.properties.get(name.as_str());
                let value = match property.map(AsRef::as_ref).or(node.additional.schema()) {
                    Some(child) => convert(child, field),
                    None => plain(field),
                };
                let as_field = property.is_some() || !is_map;
                if as_field && is_reserved(name) {
                    // Rules can say it either way.
                    shown.insert(key(Cow::Borrowed(name)), value.clone());
                }
                shown.insert(key(if as_field { escaped(name) } else { Cow::Borrowed(name) }), value);
            }
            map(shown)
        }
    }
}

fn plain(value: &Value) -> Cel {
    convert(&Node::default(), value)
}

fn map(map: HashMap<Key, Cel>) -> Cel {
    Cel::Map(Map { map: Arc::new(map) })
}

fn key(name: Cow<'_, str>) -> Key {
    Key::String(Arc::new(name.into_owned()))
}

fn string(format: Option<&str>, s: &str) -> Cel {
    let typed = match format {
        Some("date-time" | "datetime") => TIMES.with(|times| times.call(&times.timestamp, "timestamp(s)", s)),
        Some("date") => TIMES.with(|times| times.call(&times.timestamp, "timestamp(s)", &format!("{s}T00:00:00Z"))),
        Some("duration") => TIMES.with(|times| times.call(&times.duration, "duration(s)", s)),
        Some("byte") => base64::engine::general_purpose::STANDARD.decode(s).ok().map(|bytes| Cel::Bytes(Arc::new(bytes))),
        _ => None,
    };
    typed.unwrap_or_else(|| Cel::String(Arc::new(s.to_owned())))
}

/// CEL's own conversions of times, so that a time in a field is the same value as one in a rule.
#[derive(Default)]
struct Times {
    context: Context<'static>,
    timestamp: OnceCell<Option<Program>>,
    duration: OnceCell<Option<Program>>,
}

thread_local! {
    static TIMES: Times = Times::default();
}

impl Times {
    fn call(&self, program: &OnceCell<Option<Program>>, source: &str, s: &str) -> Option<Cel> {
        let program = program.get_or_init(|| Program::compile(source).ok()).as_ref()?;
        let mut scope = self.context.new_inner_scope();
        scope.add_variable_from_value("s", Cel::String(Arc::new(s.to_owned())));
        program.execute(&scope).ok()
    }
}
