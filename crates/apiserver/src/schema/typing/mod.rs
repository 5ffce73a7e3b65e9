//! Rules are checked against their schema when a kind is defined: what can never be evaluated is refused, in the words of cel-go.

mod checker;
mod functions;
mod literals;
mod report;
#[cfg(test)]
mod tests;
mod types;
mod unify;

use super::Node;
use super::expression::Lazy;
use checker::Checker;
use types::{BOOL, STRING, Ty};
use unify::Known;

/// What `self` and `oldSelf` are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'n> {
    /// The schema of `self`.
    pub(crate) node: &'n Node,
    /// It is a whole object, with `metadata`.
    pub(crate) resource: bool,
    /// `oldSelf` is an optional value.
    pub(crate) optional_old: bool,
}

/// What an expression is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Rule,
    Message,
}

/// Whether the expression looks at `oldSelf`; the error says why it cannot be used.
pub(crate) fn check(place: Place<'_>, source: &str, purpose: Purpose) -> Result<bool, String> {
    let failed = |problems: String| match purpose {
        Purpose::Rule => format!("compilation failed: {problems}"),
        Purpose::Message => format!("messageExpression compilation failed: {problems}"),
    };
    let lazy = Lazy::new(source);
    let expression = lazy.get().map_err(|problem| failed(problem.replace("\n|", "\n |")))?;
    let Some(itself) = Ty::of(place.node, place.resource, "selfType") else { return Ok(expression.uses_old) };
    let old = if place.optional_old { Ty::optional(itself.clone()) } else { itself.clone() };
    let (ty, problems) = functions::functions().with(|functions| {
        let mut checker = Checker {
            functions,
            scopes: vec![("self".to_owned(), itself), ("oldSelf".to_owned(), old)],
            known: Known::default(),
            problems: Vec::new(),
            alike: Vec::new(),
            formats: 0,
        };
        let ty = checker.check(&expression.parsed);
        let ty = checker.known.resolved(&ty, true);
        if checker.problems.is_empty() {
            literals::check(&mut checker, &expression.parsed);
        }
        (ty, checker.problems)
    });
    if !problems.is_empty() {
        return Err(failed(report::text(source, &problems)));
    }
    match purpose {
        Purpose::Rule if ty != BOOL => Err("cel expression must evaluate to a bool".to_owned()),
        Purpose::Message if ty != STRING => Err("messageExpression must evaluate to a string".to_owned()),
        _ => Ok(expression.uses_old),
    }
}
