//! The functions that rules can call.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use kube_cel::{
    KubeCelExt as _,
    cel::{
        Context, ExecutionError, FunctionContext, Value as Cel,
        extractors::This,
        objects::{Key, OptionalValue},
    },
};

use super::pattern::Pattern;
use super::{cel_macros, expression, meter};

/// Patterns kept per thread. Rules have a few dozen; a rule could also build patterns from values, so there is a bound.
const MAX_PATTERNS: usize = 256;
/// Longest list that a rule can make out of nothing.
const MAX_RANGE: i64 = 10_000;

/// A context with Kubernetes' CEL libraries, and with what the cel crate lacks or reads differently.
pub(super) fn context() -> Context<'static> {
    let mut context = Context::default().with_all();
    context.add_function("size", size);
    context.add_function("matches", matches);
    context.add_function("lists.range", range);
    context.add_function("dyn", |value: Cel| -> Result<Cel, ExecutionError> { Ok(value) });
    // `type(self.port) == int`: the cel crate has no type values, so a type is its name here.
    context.add_function("type", |value: Cel| -> Result<Cel, ExecutionError> { Ok(name(type_name(&value))) });
    for type_name in ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"] {
        context.add_variable_from_value(type_name, name(type_name));
    }
    let times = ["Duration", "Timestamp"].map(|time| (time, name(&format!("google.protobuf.{time}"))));
    context.add_variable_from_value("google", HashMap::from([("protobuf", HashMap::from(times))]));
    context.add_function("bool", bool);
    context.add_function(expression::OPT_SELECT, select_optional);
    cel_macros::add(&mut context);
    meter::add(&mut context);
    context
}

/// Which the cel crate does not have.
fn bool(value: Cel) -> Result<bool, ExecutionError> {
    match value {
        Cel::Bool(value) => Ok(value),
        Cel::String(text) => match text.as_str() {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(true),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(false),
            _ => Err(ExecutionError::function_error("bool", "type conversion error from 'string' to 'bool'")),
        },
        _ => Err(ExecutionError::function_error("bool", "no such overload")),
    }
}

/// The cel crate counts a string's bytes; CEL counts its code points.
fn size(call: &FunctionContext<'_, '_>) -> Result<i64, ExecutionError> {
    let value = match (&call.this, call.args.first()) {
        (Some(this), _) => this.clone(),
        (None, Some(argument)) => call.ptx.resolve(argument)?,
        (None, None) => return Err(ExecutionError::missing_argument_or_target()),
    };
    let size = match value {
        Cel::List(list) => list.len(),
        Cel::Map(map) => map.map.len(),
        Cel::String(text) => text.chars().count(),
        Cel::Bytes(bytes) => bytes.len(),
        _ => return Err(call.error("no such overload")),
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

/// The field of an object, of a map, or of what an optional value holds, where it is there.
fn select_optional(operand: Cel, field: Arc<String>) -> Result<Cel, ExecutionError> {
    let held = match &operand {
        Cel::Opaque(_) => <&OptionalValue>::try_from(&operand)?.value().cloned(),
        _ => Some(operand.clone()),
    };
    let found = match held {
        Some(Cel::Map(map)) => map.map.get(&Key::String(field)).cloned(),
        Some(_) => return Err(ExecutionError::function_error("_?._", "no such overload")),
        None => None,
    };
    Ok(Cel::Opaque(Arc::new(found.map_or_else(OptionalValue::none, OptionalValue::of))))
}

/// The cel crate compiles the pattern anew for every value, which costs more than all the rest of a rule.
fn matches(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<bool, ExecutionError> {
    thread_local! {
        static PATTERNS: RefCell<HashMap<Arc<String>, Pattern>> = RefCell::default();
    }
    PATTERNS.with_borrow_mut(|patterns| {
        if let Some(found) = patterns.get(&pattern) {
            return Ok(found.matches(&text));
        }
        // About the time of compiling a small one.
        meter::pay(1000 + 10 * pattern.len() as u64, 0)?;
        let compiled = Pattern::new(&pattern).map_err(|e| ExecutionError::function_error("matches", e))?;
        if patterns.len() >= MAX_PATTERNS {
            patterns.clear();
        }
        let found = compiled.matches(&text);
        patterns.insert(pattern, compiled);
        Ok(found)
    })
}

fn range(end: i64) -> Result<Cel, ExecutionError> {
    if end > MAX_RANGE {
        return Err(ExecutionError::function_error("lists.range", format!("{end} is more than {MAX_RANGE}")));
    }
    meter::pay(end.unsigned_abs(), 0)?;
    Ok(Cel::List(Arc::new((0..end).map(Cel::Int).collect())))
}

fn name(name: &str) -> Cel {
    Cel::String(Arc::new(format!("type {name}")))
}

fn type_name(value: &Cel) -> &'static str {
    match value {
        Cel::Int(_) => "int",
        Cel::UInt(_) => "uint",
        Cel::Float(_) => "double",
        Cel::Bool(_) => "bool",
        Cel::String(_) => "string",
        Cel::Bytes(_) => "bytes",
        Cel::List(_) => "list",
        Cel::Map(_) => "map",
        Cel::Null => "null_type",
        Cel::Duration(_) => "google.protobuf.Duration",
        Cel::Timestamp(_) => "google.protobuf.Timestamp",
        Cel::Opaque(_) | Cel::Function(..) => "dyn",
    }
}
