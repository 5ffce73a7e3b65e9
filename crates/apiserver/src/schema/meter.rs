//! What rules cost, counted while they are evaluated: each round of a loop pays for itself before it begins, and so do the functions whose
//! results are larger, or take longer, than what they are given.

use std::cell::Cell;

use kube_cel::KubeCelExt as _;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, operators};
use kube_cel::cel::common::types::{CelBytes, CelList, CelMap, CelMapKey, CelOptional, CelString};
use kube_cel::cel::common::value::Val;
use kube_cel::cel::{Context, ExecutionError, FunctionContext, IdedExpr, Value as Cel};

use super::{cel_macros, expression};

/// Bytes that the values of one round, or the result of one function, may take.
const LARGEST: u64 = 64 << 20;
/// Bytes that the rules of one object may copy and make.
const MADE: u64 = 512 << 20;
/// Bytes that a value takes beside its text.
const VALUE: u64 = 64;
/// Characters that a function on text goes through in about the time of one step.
const TEXT: u64 = 1024;
/// Steps that a round takes at least.
const ROUND: u64 = 4;
/// Most digits behind the point that `format` writes.
const DIGITS: u64 = 1000;
/// What the rounds of loops call; no rule can.
const STEP: &str = "@step";

#[derive(Clone, Copy, Default)]
struct Left {
    steps: u64,
    bytes: u64,
    spent: bool,
}

thread_local! {
    static LEFT: Cell<Left> = const { Cell::new(Left { steps: 0, bytes: 0, spent: false }) };
    /// The functions as they are without a price.
    static FREE: Context<'static> = Context::default().with_all();
}

/// Begins an object.
pub(super) fn begin(steps: u64) {
    LEFT.set(Left { steps, bytes: MADE, spent: false });
}

/// Whether the object has cost too much: nothing that was found after that is true.
pub(super) fn is_spent() -> bool {
    LEFT.get().spent
}

/// Takes from what is left. The error ends the evaluation.
pub(super) fn pay(steps: u64, bytes: u64) -> Result<(), ExecutionError> {
    let left = LEFT.get();
    let next = (!left.spent && bytes <= LARGEST)
        .then(|| Some(Left { steps: left.steps.checked_sub(steps)?, bytes: left.bytes.checked_sub(bytes)?, spent: false }))
        .flatten();
    LEFT.set(next.unwrap_or(Left { spent: true, ..left }));
    next.map(|_| ()).ok_or_else(|| ExecutionError::function_error("cost", "running out of cost budget"))
}

/// How large a value is.
#[derive(Clone, Copy, Default)]
struct Size {
    values: u64,
    bytes: u64,
}

impl Size {
    /// Of a value and all below it; of what is too large anyway, no more than that.
    fn of(value: &dyn Val) -> Self {
        let mut size = Self::default();
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            size.values += 1;
            size.bytes += VALUE;
            if size.bytes > LARGEST {
                break;
            }
            if let Some(text) = value.downcast_ref::<CelString>() {
                size.bytes += text.inner().len() as u64;
            } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
                size.bytes += bytes.inner().len() as u64;
            } else if let Some(list) = value.downcast_ref::<CelList>() {
                open.extend(list.inner().iter().map(AsRef::as_ref));
            } else if let Some(map) = value.downcast_ref::<CelMap>() {
                for (key, value) in map.inner() {
                    size.bytes += VALUE + key.inner().downcast_ref::<CelString>().map_or(0, |text| text.inner().len() as u64);
                    open.push(value.as_ref());
                }
            } else if let Some(held) = value.downcast_ref::<CelOptional>().and_then(CelOptional::inner) {
                open.push(held);
            }
        }
        size
    }

    fn steps(self) -> u64 {
        (self.values / 2 + self.bytes / TEXT).max(1)
    }
}

/// Whether an expression may read what it reads at all: outside of loops, each variable counts as often as it stands there.
pub(super) fn admit(scope: &Context<'_>, parsed: &IdedExpr) -> Result<(), ExecutionError> {
    let body = Body::of(parsed);
    pay_reads(scope, &body.held, &body.passed, body.nodes)
}

fn pay_reads(scope: &Context<'_>, held: &[IdedExpr], passed: &[IdedExpr], nodes: u64) -> Result<(), ExecutionError> {
    pay(ROUND + nodes / 2, 0)?;
    for (reads, are_held) in [(held, true), (passed, false)] {
        let mut bytes = 0;
        for read in reads {
            let size = read_size(scope, read);
            bytes += size.bytes;
            pay(size.steps(), if are_held && bytes > LARGEST { bytes } else { 0 })?;
        }
        pay(0, if are_held { bytes } else { 0 })?;
    }
    Ok(())
}

/// The size of `a` or `a.b`.
fn read_size(scope: &Context<'_>, read: &IdedExpr) -> Size {
    match &read.expr {
        Expr::Ident(name) => scope.get_variable(name).map_or_else(Size::default, |value| Size::of(value.as_ref())),
        Expr::Select(select) => {
            let Some(holder) = cel_macros::variable(&select.operand).and_then(|name| scope.get_variable(name)) else {
                return Size::default();
            };
            let field = holder.downcast_ref::<CelMap>().and_then(|map| map.inner().get(&CelMapKey::from(select.field.as_str())));
            field.map_or_else(Size::default, |value| Size::of(value.as_ref()))
        }
        _ => Size::default(),
    }
}

/// What an expression reads outside of the loops in it.
#[derive(Default)]
struct Body {
    /// Becomes part of a value, beside all others.
    held: Vec<IdedExpr>,
    /// Is looked at, and gone before the next.
    passed: Vec<IdedExpr>,
    nodes: u64,
}

impl Body {
    fn of(root: &IdedExpr) -> Self {
        let mut body = Self::default();
        let mut open = vec![(root, false)];
        while let Some((expression, held)) = open.pop() {
            body.nodes += 1;
            let held = match &expression.expr {
                Expr::List(_) | Expr::Map(_) => true,
                Expr::Call(call) if call.func_name == operators::ADD => true,
                Expr::Call(call) => held && !is_plain(&call.func_name),
                Expr::Select(select) => held && !select.test,
                _ => held,
            };
            match &expression.expr {
                Expr::Ident(name) if !name.starts_with('@') => body.read(expression, held),
                Expr::Select(select) if cel_macros::variable(&select.operand).is_some() => body.read(expression, held),
                Expr::Comprehension(inner) => open.extend([(&inner.iter_range, held), (&inner.accu_init, held)]),
                Expr::Call(call) if cel_macros::is_macro(call) => open.extend(call.target.as_deref().map(|target| (target, held))),
                _ => expression::children(expression, |child| open.push((child, held))),
            }
        }
        body
    }

    fn read(&mut self, expression: &IdedExpr, held: bool) {
        if held { &mut self.held } else { &mut self.passed }.push(expression.clone());
    }
}

/// Whether a function's results are numbers or the like, whatever it is given.
fn is_plain(function: &str) -> bool {
    let names = [
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::LOGICAL_NOT,
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
        operators::IN,
        "size",
        "matches",
        "startsWith",
        "endsWith",
        "contains",
    ];
    names.contains(&function)
}

/// The same expression, whose loops pay.
pub(super) fn metered(parsed: &IdedExpr) -> IdedExpr {
    let mut metered = parsed.clone();
    meter(&mut metered);
    metered
}

fn meter(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Comprehension(comprehension) => meter_loop(comprehension),
        Expr::Call(call) => {
            if cel_macros::is_macro(call) {
                let variables = if call.func_name.starts_with("opt") { 1 } else { 2 };
                let (names, bodies) = call.args.split_at_mut(variables);
                for part in bodies {
                    let mut body = Body::of(part);
                    // Its value is kept, where it is not a condition.
                    body.held.append(&mut body.passed);
                    body.held.extend(names.iter().cloned());
                    meter(part);
                    *part = paying(std::mem::take(part), nothing(), body);
                }
            } else {
                call.args.iter_mut().for_each(meter);
            }
            call.target.as_deref_mut().into_iter().for_each(meter);
        }
        _ => expression::children_mut(expression, &mut meter),
    }
}

fn meter_loop(comprehension: &mut ComprehensionExpr) {
    let mut body = Body::of(&comprehension.loop_step);
    body.passed.push(ident(&comprehension.iter_var));
    let result = ident(&comprehension.accu_var);
    meter(&mut comprehension.iter_range);
    meter(&mut comprehension.accu_init);
    meter(&mut comprehension.loop_step);
    meter(&mut comprehension.result);
    comprehension.loop_step = paying(std::mem::take(&mut comprehension.loop_step), result, body);
}

/// `@step(result, nodes, [held], [passed]) ? round : null`
fn paying(round: IdedExpr, result: IdedExpr, body: Body) -> IdedExpr {
    let new = |expr| IdedExpr { id: 0, expr };
    let nodes = new(Expr::Literal(LiteralValue::Int(i64::try_from(body.nodes).unwrap_or(i64::MAX).into())));
    let [held, passed] = [body.held, body.passed].map(|reads| new(Expr::List(ListExpr::new(reads))));
    let step = CallExpr { func_name: STEP.to_owned(), target: None, args: vec![result, nodes, held, passed] };
    let args = vec![new(Expr::Call(step)), round, nothing()];
    new(Expr::Call(CallExpr { func_name: operators::CONDITIONAL.to_owned(), target: None, args }))
}

fn ident(name: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Ident(name.to_owned()) }
}

fn nothing() -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Null) }
}

/// Begins a round.
fn step(call: &FunctionContext<'_, '_>) -> Result<bool, ExecutionError> {
    let [result, nodes, IdedExpr { expr: Expr::List(held), .. }, IdedExpr { expr: Expr::List(passed), .. }] = call.args else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let nodes = match &nodes.expr {
        Expr::Literal(LiteralValue::Int(nodes)) => nodes.inner().unsigned_abs(),
        _ => 0,
    };
    // It grows from round to round: its bytes must not count again.
    let so_far = read_size(call.ptx, result);
    pay(so_far.steps(), if so_far.bytes > LARGEST { so_far.bytes } else { 0 })?;
    pay_reads(call.ptx, &held.elements, &passed.elements, nodes)?;
    Ok(true)
}

/// Steps and bytes that a call with these values takes.
type Price = fn(&[Cel]) -> (u64, u64);

/// Puts prices on functions.
pub(super) fn add(context: &mut Context<'_>) {
    context.add_function(STEP, step);
    let prices: [(&'static str, Price); 10] = [
        ("replace", replace),
        ("split", split),
        ("join", join),
        ("format", format),
        ("sets.contains", pairs),
        ("sets.equivalent", pairs),
        ("sets.intersects", pairs),
        ("distinct", pairs),
        ("indexOf", pairs),
        ("lastIndexOf", pairs),
    ];
    for (name, price) in prices {
        context.add_function(name, move |call: &FunctionContext<'_, '_>| paid(call, name, price));
    }
}

/// Pays for a call and makes it.
fn paid(call: &FunctionContext<'_, '_>, name: &str, price: Price) -> Result<Cel, ExecutionError> {
    let mut values: Vec<Cel> = call.this.iter().cloned().collect();
    for argument in call.args {
        values.push(call.ptx.resolve(argument)?);
    }
    let (steps, bytes) = price(&values);
    pay(steps, bytes)?;
    FREE.with(|free| {
        let mut scope = free.new_inner_scope();
        let mut names = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let name = format!("@{index}");
            scope.add_variable_from_value(name.as_str(), value);
            names.push(ident(&name));
        }
        let target = call.this.is_some().then(|| Box::new(names.remove(0)));
        scope.resolve(&IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target, args: names }) })
    })
}

/// How often a text is in another.
fn count(text: &str, part: &str) -> u64 {
    if part.is_empty() { text.len() as u64 + 1 } else { text.matches(part).count() as u64 }
}

fn replace(values: &[Cel]) -> (u64, u64) {
    let [Cel::String(text), Cel::String(from), Cel::String(to), ..] = values else { return (1, 0) };
    let bytes = (text.len() as u64).saturating_add(count(text, from).saturating_mul(to.len() as u64));
    (1 + bytes / TEXT, bytes)
}

fn split(values: &[Cel]) -> (u64, u64) {
    let [Cel::String(text), Cel::String(by), ..] = values else { return (1, 0) };
    let parts = count(text, by) + 1;
    (1 + parts, text.len() as u64 + parts * 2 * VALUE)
}

fn join(values: &[Cel]) -> (u64, u64) {
    let [Cel::List(list), by @ ..] = values else { return (1, 0) };
    let by = if let [Cel::String(by)] = by { by.len() as u64 } else { 0 };
    let texts: u64 = list.iter().map(|text| if let Cel::String(text) = text { text.len() as u64 } else { VALUE }).sum();
    (1 + list.len() as u64, texts.saturating_add(by.saturating_mul(list.len() as u64)))
}

fn format(values: &[Cel]) -> (u64, u64) {
    let [Cel::String(text), ..] = values else { return (1, 0) };
    let digits = text.split("%.").skip(1).map(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) }
    });
    let bytes = if digits.max().unwrap_or(0) > DIGITS { u64::MAX } else { text.len() as u64 };
    (1 + text.len() as u64 / 8, bytes)
}

/// Of what compares everything with everything.
fn pairs(values: &[Cel]) -> (u64, u64) {
    let length = |value: &Cel| match value {
        Cel::List(list) => list.len() as u64,
        Cel::String(text) => 1 + text.len() as u64 / 32,
        _ => 1,
    };
    let pairs = match values {
        [one] => length(one).saturating_mul(length(one)),
        [first, second, ..] => length(first).saturating_mul(length(second)),
        [] => 1,
    };
    (1 + pairs / 4, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{cel_functions, expression::Lazy};

    /// What a rule says that may take so many steps; `None`: it costs too much.
    fn evaluated(rule: &str, steps: u64) -> Option<Result<Cel, ExecutionError>> {
        let lazy = Lazy::new(rule);
        let expression = lazy.get().unwrap_or_else(|e| panic!("{rule}: {e}"));
        begin(steps);
        let mut scope = cel_functions::context();
        scope.add_variable_from_value("self", "x".repeat(3 << 20));
        let said = admit(&scope, &expression.parsed).and_then(|()| scope.resolve(expression.metered()));
        (!is_spent()).then_some(said)
    }

    #[test]
    fn rules_that_make_what_they_loop_over_are_stopped() {
        let thousand = format!("[{}]", vec!["0"; 1000].join(","));
        let grows = |by: &str, times: usize| format!("['aaaaaaaa']{}.size() == 1", format!(".map(x, {by})").repeat(times));
        for rule in [
            "lists.range(10000).all(a, lists.range(10000).all(b, lists.range(10000).all(c, true)))",
            "lists.range(10000).all(i, a, lists.range(10000).all(j, b, lists.range(10000).all(k, c, true)))",
            "lists.range(10000).all(a, lists.range(10000).map(b, b).size() > 0) || true",
            "lists.range(10000).transformList(i, a, lists.range(10000).transformList(j, b, b)).size() > 0",
            "lists.range(10000).all(a, sets.contains(lists.range(10000), lists.range(10000)))",
            "lists.range(10000).exists(a, 'a'.matches('b{900}' + string(a)))",
            "self.split('').all(a, self.split('').all(b, true))",
            "self.replace('x', self) == ''",
            "lists.range(10000).map(x, self).join(self) == ''",
            "'%.999999999f'.format([1.0]) == ''",
            &format!("[{}].size() > 0", vec!["self"; 500].join(",")),
            &format!("{thousand}.all(a, {thousand}.all(b, {thousand}.all(c, true)))"),
            &grows("x + x + x + x + x + x + x + x", 10),
            &grows("[x, x, x, x, x, x, x, x]", 10),
            &grows("{'a': x, 'b': x, 'c': x, 'd': x, 'e': x, 'f': x, 'g': x, 'h': x}", 10),
            &grows("x.replace('a', x)", 6),
            &format!("optional.of('aaaaaaaa'){}.hasValue()", ".optMap(x, x + x + x + x + x + x + x + x)".repeat(10)),
        ] {
            assert!(evaluated(rule, 300_000).is_none(), "{rule:.100}");
        }
    }

    #[test]
    fn what_costs_little_is_evaluated_as_it_was() {
        for rule in [
            "lists.range(1000).all(a, a >= 0)",
            "lists.range(100).map(a, a + 1).filter(a, a > 50).size() == 50",
            "lists.range(10).exists_one(a, a == 3) && !lists.range(10).exists(a, a == 10)",
            "[1, 2].transformList(i, a, a > 1, a + i) == [3]",
            "optional.of(2).optMap(a, a + 1).value() == 3",
            "'a.b.c'.split('.').map(a, a + a).join('-') == 'aa-bb-cc' && 'a.b'.split('.', 1) == ['a.b']",
            "'%s is %.2f'.format(['x', 1.5]) == 'x is 1.50' && 'aXa'.replace('X', '--') == 'a--a'",
            "sets.contains([1, 2], [2]) && sets.intersects([1], [1]) && [1, 1].distinct() == [1] && 'abc'.indexOf('c') == 2",
            &format!("{} > 0", vec!["self.size()"; 40].join(" + ")),
        ] {
            assert_eq!(evaluated(rule, 300_000).expect(rule).unwrap(), Cel::Bool(true), "{rule}");
        }
        assert!(evaluated("[1].all(a, a / 0 == 1)", 1000).unwrap().is_err());
    }

    #[test]
    fn the_deepest_loops_find_stack_enough() {
        for (open, close) in [
            ("[0].all(a, ", ")"),
            ("[0].all(i, a, ", ")"),
            ("[0].transformList(i, a, ", ") == []"),
            ("[0].map(a, ", ") == []"),
            ("optional.of(0).optMap(a, ", ").hasValue()"),
        ] {
            let nested = |depth: usize| format!("{}true{}", open.repeat(depth), close.repeat(depth));
            let deepest = (1..80).rev().find(|depth| Lazy::new(&nested(*depth)).get().is_ok()).unwrap();
            assert!(deepest > 5, "{open}: {deepest}");
            assert!(evaluated(&nested(deepest), 300_000).is_some(), "{open}");
        }
    }
}
