//! Macros that the cel crate does not expand: those over the two variables of a list or map, and those over what an optional value holds.
//! They are functions here, which evaluate their last arguments themselves, once for each entry.

use std::{collections::HashMap, sync::Arc};

use kube_cel::cel::{
    Context, ExecutionError, FunctionContext, IdedExpr, Value as Cel,
    common::ast::{CallExpr, Expr},
    objects::{Key, Map, OptionalValue},
};

/// The macros, each with the numbers of arguments that make a call one of it.
const MACROS: [(&str, &[usize]); 9] = [
    ("all", &[3]),
    ("exists", &[3]),
    ("existsOne", &[3]),
    ("exists_one", &[3]),
    ("transformList", &[3, 4]),
    ("transformMap", &[3, 4]),
    ("transformMapEntry", &[3, 4]),
    ("optMap", &[2]),
    ("optFlatMap", &[2]),
];

/// Whether a call is one of these macros.
pub(super) fn is_macro(call: &CallExpr) -> bool {
    call.target.is_some() && MACROS.iter().any(|(name, counts)| call.func_name == *name && counts.contains(&call.args.len()))
}

/// The name of a variable.
pub(super) fn variable(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}

pub(super) fn add(context: &mut Context<'_>) {
    context.add_function("all", |call: &FunctionContext<'_, '_>| decided(call, false));
    context.add_function("exists", |call: &FunctionContext<'_, '_>| decided(call, true));
    context.add_function("existsOne", exists_one);
    context.add_function("exists_one", exists_one);
    context.add_function("transformList", transform_list);
    context.add_function("transformMap", transform_map);
    context.add_function("transformMapEntry", transform_map_entry);
    context.add_function("optMap", |call: &FunctionContext<'_, '_>| optional(call, |value| Ok(opaque(OptionalValue::of(value)))));
    context.add_function("optFlatMap", |call: &FunctionContext<'_, '_>| optional(call, Ok));
}

type Evaluated = Result<Cel, ExecutionError>;

fn no_overload(call: &FunctionContext<'_, '_>) -> ExecutionError {
    call.error("no such overload")
}

fn opaque(value: OptionalValue) -> Cel {
    Cel::Opaque(Arc::new(value))
}

/// Keys and values, in an order that does not change.
fn entries(call: &FunctionContext<'_, '_>) -> Result<Vec<(Key, Cel)>, ExecutionError> {
    match &call.this {
        Some(Cel::List(list)) => Ok(list.iter().cloned().zip(0..).map(|(value, index)| (Key::Int(index), value)).collect()),
        Some(Cel::Map(map)) => {
            let mut entries: Vec<(Key, Cel)> = map.map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            entries.sort_by_key(|(key, _)| key.to_string());
            Ok(entries)
        }
        _ => Err(no_overload(call)),
    }
}

/// Evaluates `expression` with both variables set.
fn with(call: &FunctionContext<'_, '_>, (key, value): &(Key, Cel), expression: &IdedExpr) -> Evaluated {
    let [first, second, ..] = call.args else { return Err(no_overload(call)) };
    let (Some(first), Some(second)) = (variable(first), variable(second)) else { return Err(no_overload(call)) };
    let mut scope = call.ptx.new_inner_scope();
    scope.add_variable_from_value(first, Cel::from(key.clone()));
    scope.add_variable_from_value(second, value.clone());
    scope.resolve(expression)
}

fn holds(call: &FunctionContext<'_, '_>, entry: &(Key, Cel), condition: &IdedExpr) -> Result<bool, ExecutionError> {
    match with(call, entry, condition)? {
        Cel::Bool(holds) => Ok(holds),
        _ => Err(no_overload(call)),
    }
}

/// `all` and `exists`: one entry can decide, whatever fails for others.
fn decided(call: &FunctionContext<'_, '_>, by: bool) -> Evaluated {
    let [_, _, condition] = call.args else { return Err(no_overload(call)) };
    let mut failed = None;
    for entry in entries(call)? {
        match holds(call, &entry, condition) {
            Ok(holds) if holds == by => return Ok(Cel::Bool(by)),
            Ok(_) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(Cel::Bool(!by)), Err)
}

fn exists_one(call: &FunctionContext<'_, '_>) -> Evaluated {
    let [_, _, condition] = call.args else { return Err(no_overload(call)) };
    let mut count = 0;
    for entry in entries(call)? {
        count += usize::from(holds(call, &entry, condition)?);
    }
    Ok(Cel::Bool(count == 1))
}

/// What the last argument is for each entry that the one before, if there is one, holds for.
fn transformed(call: &FunctionContext<'_, '_>) -> Result<Vec<(Key, Cel)>, ExecutionError> {
    let (condition, wanted) = match call.args {
        [_, _, wanted] => (None, wanted),
        [_, _, condition, wanted] => (Some(condition), wanted),
        _ => return Err(no_overload(call)),
    };
    let mut made = Vec::new();
    for entry in entries(call)? {
        let wants = condition.map_or(Ok(true), |condition| holds(call, &entry, condition))?;
        if wants {
            let value = with(call, &entry, wanted)?;
            made.push((entry.0, value));
        }
    }
    Ok(made)
}

fn transform_list(call: &FunctionContext<'_, '_>) -> Evaluated {
    Ok(Cel::List(Arc::new(transformed(call)?.into_iter().map(|(_, value)| value).collect())))
}

fn transform_map(call: &FunctionContext<'_, '_>) -> Evaluated {
    Ok(Cel::Map(Map { map: Arc::new(transformed(call)?.into_iter().collect()) }))
}

fn transform_map_entry(call: &FunctionContext<'_, '_>) -> Evaluated {
    let mut all = HashMap::new();
    for (_, made) in transformed(call)? {
        let Cel::Map(made) = made else { return Err(no_overload(call)) };
        for (key, value) in made.map.iter() {
            if all.insert(key.clone(), value.clone()).is_some() {
                return Err(call.error(format!("insert failed: key {key} already exists")));
            }
        }
    }
    Ok(Cel::Map(Map { map: Arc::new(all) }))
}

fn optional(call: &FunctionContext<'_, '_>, wrap: impl Fn(Cel) -> Evaluated) -> Evaluated {
    let (Some(this), [name, wanted]) = (&call.this, call.args) else { return Err(no_overload(call)) };
    let held: &OptionalValue = this.try_into()?;
    let (Some(value), Some(name)) = (held.value(), variable(name)) else { return Ok(opaque(OptionalValue::none())) };
    let mut scope = call.ptx.new_inner_scope();
    scope.add_variable_from_value(name, value.clone());
    wrap(scope.resolve(wanted)?)
}
