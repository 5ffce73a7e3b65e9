//! CEL expressions: compiled at first use, shared, and bounded so that neither parsing nor evaluating one can exhaust a stack.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
    thread,
};

use kube_cel::cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr, operators},
    parser::{ExpressionReferences, Parser},
};
use parking_lot::Mutex;

use super::{cel_macros, meter};

/// Longest expression that is read; the longest of Gateway API and Envoy Gateway have about 1,000 bytes.
const MAX_LENGTH: usize = 8 * 1024;
/// Deepest expression that is evaluated. A level takes up to 10 KiB of stack in a debug build, and threads have 2 MiB.
const MAX_DEPTH: usize = 80;
/// A loop takes as much stack as so many levels: what it pays with is put into it, and the functions that loop have frames of their own.
const LOOP_LEVELS: usize = 6;
/// Up to this length an expression cannot nest deeper than any stack allows, and is parsed where we are.
const SHORT: usize = 100;
/// Stack for parsing the others: at most a level for each byte.
const PARSER_STACK: usize = 128 * 1024 * 1024;

/// What `a.?b` calls.
pub(super) const OPT_SELECT: &str = "@select_optional";

/// An expression and its source.
#[derive(Debug)]
pub(super) struct Lazy {
    source: String,
    expression: OnceLock<Result<Arc<Expression>, String>>,
}

/// A parsed expression.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) parsed: IdedExpr,
    pub(super) uses_old: bool,
    /// How many loops stand inside each other at most.
    pub(super) loops: u32,
    metered: OnceLock<IdedExpr>,
}

impl Expression {
    /// What is evaluated: its loops pay for each round.
    pub(super) fn metered(&self) -> &IdedExpr {
        if self.loops == 0 { &self.parsed } else { self.metered.get_or_init(|| meter::metered(&self.parsed)) }
    }
}

impl Lazy {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), expression: OnceLock::new() }
    }

    pub(super) fn get(&self) -> Result<&Expression, &str> {
        self.expression.get_or_init(|| shared(&self.source)).as_deref().map_err(String::as_str)
    }
}

/// Compiles `source`, or finds it among those in use: the versions of one CRD repeat all their rules.
fn shared(source: &str) -> Result<Arc<Expression>, String> {
    static IN_USE: OnceLock<Mutex<HashMap<String, Weak<Expression>>>> = OnceLock::new();
    let in_use = IN_USE.get_or_init(Mutex::default);
    if let Some(found) = in_use.lock().get(source).and_then(Weak::upgrade) {
        return Ok(found);
    }
    let expression = Arc::new(compile(source)?);
    let mut in_use = in_use.lock();
    in_use.retain(|_, weak| weak.strong_count() > 0);
    in_use.insert(source.to_owned(), Arc::downgrade(&expression));
    Ok(expression)
}

fn compile(source: &str) -> Result<Expression, String> {
    if source.len() > MAX_LENGTH {
        return Err(format!("expression is longer than {MAX_LENGTH} bytes"));
    }
    on_deep_stack(source, || parse(source))
}

/// Runs what parses `source` where there is stack enough for it.
pub(super) fn on_deep_stack<T: Send>(source: &str, parse: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    if source.len() <= SHORT {
        return parse();
    }
    thread::scope(|scope| {
        let parser = thread::Builder::new().name("cel-parser".to_owned()).stack_size(PARSER_STACK);
        let parsing = parser.spawn_scoped(scope, parse).map_err(|e| format!("no thread to parse the expression: {e}"))?;
        parsing.join().unwrap_or_else(|_| Err("the expression could not be parsed".to_owned()))
    })
}

fn parse(source: &str) -> Result<Expression, String> {
    let mut parsed = Parser::default().enable_optional_syntax(true).parse(source).map_err(|e| e.to_string())?;
    let (depth, loops) = measure(&parsed)?;
    if depth > MAX_DEPTH {
        return Err(format!("expression nests deeper than {MAX_DEPTH} levels"));
    }
    rename_selections(&mut parsed);
    let uses_old = ExpressionReferences::has_variable(&parsed.references(), "oldSelf");
    Ok(Expression { parsed, uses_old, loops, metered: OnceLock::new() })
}

/// Depth of an expression, and how many loops are inside each other, found without recursion. What cannot be evaluated is an error.
fn measure(root: &IdedExpr) -> Result<(usize, u32), String> {
    let (mut deepest, mut most) = (0, 0);
    let mut open = vec![(root, 1, 0)];
    while let Some((expression, depth, above)) = open.pop() {
        if let Expr::Struct(object) = &expression.expr {
            return Err(format!("undeclared reference to '{}' (in container ''): rules make no messages", object.type_name));
        }
        let is_loop = match &expression.expr {
            Expr::Comprehension(_) => true,
            Expr::Call(call) => cel_macros::is_macro(call),
            _ => false,
        };
        let loops = above + u32::from(is_loop);
        (deepest, most) = (deepest.max(depth), most.max(loops));
        let levels = if is_loop { LOOP_LEVELS } else { 1 };
        children(expression, |child| open.push((child, depth + levels, loops)));
    }
    Ok((deepest, most))
}

/// The expressions right below this one.
pub(super) fn children<'e>(expression: &'e IdedExpr, mut push: impl FnMut(&'e IdedExpr)) {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(push),
        Expr::Select(select) => push(&select.operand),
        Expr::List(list) => list.elements.iter().for_each(push),
        Expr::Comprehension(c) => [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result].into_iter().for_each(push),
        Expr::Map(map) => map.entries.iter().for_each(|entry| entry_parts(&entry.expr, &mut push)),
        Expr::Struct(object) => object.entries.iter().for_each(|entry| entry_parts(&entry.expr, &mut push)),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// The same, to change them.
pub(super) fn children_mut(expression: &mut IdedExpr, change: &mut impl FnMut(&mut IdedExpr)) {
    match &mut expression.expr {
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).for_each(change),
        Expr::Select(select) => change(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(change),
        Expr::Comprehension(c) => {
            [&mut c.iter_range, &mut c.accu_init, &mut c.loop_cond, &mut c.loop_step, &mut c.result].into_iter().for_each(change);
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    change(&mut entry.key);
                    change(&mut entry.value);
                }
            }
        }
        Expr::Struct(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// The cel crate takes `a.?b` for an error where there is no `b`: a function of ours does it.
fn rename_selections(expression: &mut IdedExpr) {
    if let Expr::Call(call) = &mut expression.expr
        && call.func_name == operators::OPT_SELECT
    {
        OPT_SELECT.clone_into(&mut call.func_name);
    }
    children_mut(expression, &mut rename_selections);
}

fn entry_parts<'e>(entry: &'e EntryExpr, push: &mut impl FnMut(&'e IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => push(&field.value),
        EntryExpr::MapEntry(entry) => {
            push(&entry.key);
            push(&entry.value);
        }
    }
}
