//! What can be said of literals: times and patterns that nobody can read, lists of this and that.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, Expr, LiteralValue};

use super::checker::Checker;
use crate::schema::cel;
use crate::schema::expression::children;
use crate::schema::pattern::Pattern;

/// Adds what is wrong with the literals of an expression whose types are right.
pub(super) fn check(checker: &mut Checker<'_, '_>, root: &IdedExpr) {
    let mut open = vec![root];
    while let Some(expression) = open.pop() {
        if let Expr::Call(call) = &expression.expr
            && let Some(argument @ IdedExpr { expr: Expr::Literal(literal), .. }) = call.args.first()
            && !is_readable(call, literal, expression)
        {
            checker.problems.push((argument.id, format!("invalid {} argument", call.func_name)));
        }
        children(expression, |child| open.push(child));
    }
    for alike in std::mem::take(&mut checker.alike) {
        let mut types = alike.into_iter().map(|(id, ty)| (id, checker.known.resolved(&ty, true)));
        let Some((_, first)) = types.next() else { continue };
        if let Some((id, other)) = types.find(|(_, ty)| *ty != first) {
            checker.problems.push((id, format!("expected type '{first}' but found '{other}'")));
        }
    }
}

fn is_readable(call: &CallExpr, literal: &LiteralValue, expression: &IdedExpr) -> bool {
    match (call.func_name.as_str(), literal) {
        ("duration" | "timestamp", _) if call.target.is_none() => cel::is_valid(expression),
        ("matches", LiteralValue::String(pattern)) => Pattern::new(pattern.inner()).is_ok(),
        _ => true,
    }
}
