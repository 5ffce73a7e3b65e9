//! From an expression to its type, and to what is wrong with it.

use std::collections::HashMap;

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr, operators};

use super::functions::{Functions, type_named};
use super::types::{BOOL, INT, STRING, Ty, join};
use super::unify::Known;
use crate::schema::cel_macros;
use crate::schema::expression::OPT_SELECT;

/// Elements of a list or keys or values of a map as they were written: they shall be of one type.
type Alike<'n> = Vec<(u64, Ty<'n>)>;

pub(super) struct Checker<'n, 'f> {
    pub(super) functions: &'f Functions,
    /// Variables, the innermost last.
    pub(super) scopes: Vec<(String, Ty<'n>)>,
    pub(super) known: Known<'n>,
    pub(super) problems: Vec<(u64, String)>,
    /// Looked at when all types are known.
    pub(super) alike: Vec<Alike<'n>>,
    /// How many calls of `format`, which takes anything, we are in.
    pub(super) formats: usize,
}

impl<'n> Checker<'n, '_> {
    fn wrong(&mut self, id: u64, problem: String) -> Ty<'n> {
        self.problems.push((id, problem));
        Ty::Error
    }

    fn undeclared(&mut self, id: u64, name: &str) -> Ty<'n> {
        self.wrong(id, format!("undeclared reference to '{name}' (in container '')"))
    }

    pub(super) fn check(&mut self, expression: &IdedExpr) -> Ty<'n> {
        let id = expression.id;
        match &expression.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => BOOL,
                LiteralValue::Bytes(_) => Ty::Plain("bytes"),
                LiteralValue::Double(_) => Ty::Plain("double"),
                LiteralValue::Int(_) => INT,
                LiteralValue::Null => Ty::Null,
                LiteralValue::String(_) => STRING,
                LiteralValue::UInt(_) => Ty::Plain("uint"),
            },
            Expr::Ident(name) => match self.variable(name) {
                Some(ty) => ty,
                None => self.undeclared(id, name),
            },
            Expr::Select(select) => self.select(expression, select),
            Expr::Call(call) => self.call(id, call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            // Refused where the expression is read.
            Expr::Struct(_) | Expr::Unspecified => Ty::Error,
        }
    }

    fn variable(&self, name: &str) -> Option<Ty<'n>> {
        let name = name.strip_prefix('.').unwrap_or(name);
        let found = self.scopes.iter().rev().find(|(variable, _)| variable == name);
        found.map(|(_, ty)| ty.clone()).or_else(|| type_named(name))
    }

    fn select(&mut self, expression: &IdedExpr, select: &SelectExpr) -> Ty<'n> {
        // `google.protobuf.Duration` is one name.
        if let Some(ty) = dotted(expression).and_then(|name| type_named(&name)) {
            return ty;
        }
        let operand = self.check(&select.operand);
        let found = self.field(expression.id, &operand, &select.field, false);
        if select.test { BOOL } else { found }
    }

    fn field(&mut self, id: u64, operand: &Ty<'n>, field: &str, optional: bool) -> Ty<'n> {
        let operand = self.known.resolved(operand, false);
        let (holder, was_optional) = operand.unwrapped();
        let found = match holder {
            Ty::Map(_, values) => (**values).clone(),
            Ty::Object(object) => match object.field(field) {
                Some(ty) => ty,
                None => self.wrong(id, format!("undefined field '{field}'")),
            },
            Ty::Var(_) => {
                self.known.fit(&Ty::Dyn, holder);
                Ty::Dyn
            }
            Ty::Dyn | Ty::Error => Ty::Dyn,
            other => {
                self.problems.push((id, format!("type '{other}' does not support field selection")));
                Ty::Dyn
            }
        };
        if was_optional || optional { Ty::optional(found) } else { found }
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Ty<'n> {
        if call.func_name == OPT_SELECT
            && let [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }] = call.args.as_slice()
        {
            let operand = self.check(operand);
            return self.field(id, &operand, field.inner(), true);
        }
        if let Some(target) = call.target.as_deref().filter(|_| cel_macros::is_macro(call)) {
            return if call.func_name.starts_with("opt") {
                self.optional_macro(id, target, call)
            } else {
                self.entries_macro(id, target, call)
            };
        }
        self.formats += usize::from(call.func_name == "format");
        let arguments: Vec<Ty<'n>> = call.args.iter().map(|argument| self.check(argument)).collect();
        let result = self.called(id, call, arguments);
        self.formats -= usize::from(call.func_name == "format");
        result
    }

    fn called(&mut self, id: u64, call: &CallExpr, arguments: Vec<Ty<'n>>) -> Ty<'n> {
        let Some(target) = &call.target else {
            return match self.functions.get(call.func_name.as_str()) {
                Some(_) => self.resolve(id, &call.func_name, false, arguments, call),
                None => self.undeclared(id, &call.func_name),
            };
        };
        // `sets.contains` is a name, where `sets` is none.
        if let Some(name) = dotted(target).map(|prefix| format!("{prefix}.{}", call.func_name))
            && self.functions.contains_key(name.as_str())
        {
            return self.resolve(id, &name, false, arguments, call);
        }
        let mut all = vec![self.check(target)];
        all.extend(arguments);
        match self.functions.get(call.func_name.as_str()) {
            Some(_) => self.resolve(id, &call.func_name, true, all, call),
            None => self.undeclared(id, &call.func_name),
        }
    }

    /// The result of the overloads that take these arguments.
    fn resolve(&mut self, id: u64, name: &str, member: bool, arguments: Vec<Ty<'n>>, call: &CallExpr) -> Ty<'n> {
        if matches!(name, operators::LOGICAL_AND | operators::LOGICAL_OR) {
            return self.logical(&arguments, call);
        }
        let mut result: Option<Ty<'n>> = None;
        let functions = self.functions;
        for overload in functions.get(name).into_iter().flatten().filter(|overload| overload.member == member) {
            let mut parameters = HashMap::new();
            let wanted: Vec<Ty<'n>> = overload.arguments.iter().map(|ty| self.known.instance(ty, &mut parameters)).collect();
            let given = self.known.instance(&overload.result, &mut parameters);
            if !self.known.fit_all(&arguments, &wanted) {
                continue;
            }
            let given = self.known.resolved(&given, false);
            result = Some(match result {
                None => given,
                Some(before) if before == Ty::Dyn || before == given => before,
                Some(_) => Ty::Dyn,
            });
        }
        if let Some(result) = result {
            return result;
        }
        let shown: Vec<Ty<'n>> = arguments.iter().map(|ty| self.known.resolved(ty, true)).collect();
        let signature = match shown.split_first() {
            Some((target, rest)) if member => format!("{target}.({})", join(rest)),
            _ => format!("({})", join(&shown)),
        };
        self.wrong(id, format!("found no matching overload for '{name}' applied to '{signature}'"))
    }

    fn logical(&mut self, arguments: &[Ty<'n>], call: &CallExpr) -> Ty<'n> {
        let mut result = BOOL;
        for (ty, argument) in arguments.iter().zip(&call.args) {
            if !self.known.fit(ty, &BOOL) {
                result = self.mismatch(argument.id, &BOOL, ty);
            }
        }
        result
    }

    fn mismatch(&mut self, id: u64, wanted: &Ty<'n>, found: &Ty<'n>) -> Ty<'n> {
        self.wrong(id, format!("expected type '{wanted}' but found '{found}'"))
    }

    fn list(&mut self, list: &ListExpr) -> Ty<'n> {
        let mut alike = Vec::new();
        for (index, element) in list.elements.iter().enumerate() {
            let ty = self.check(element);
            let ty = if list.optional_indices.contains(&index) { self.optional(element.id, ty) } else { ty };
            alike.push((element.id, ty));
        }
        let items = self.common(alike);
        Ty::list(items)
    }

    fn map(&mut self, map: &MapExpr) -> Ty<'n> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            keys.push((entry.key.id, self.check(&entry.key)));
            let ty = self.check(&entry.value);
            values.push((entry.value.id, if entry.optional { self.optional(entry.value.id, ty) } else { ty }));
        }
        let keys = self.common(keys);
        let values = self.common(values);
        Ty::map(keys, values)
    }

    /// What an element holds that may not be there.
    fn optional(&mut self, id: u64, ty: Ty<'n>) -> Ty<'n> {
        match ty.unwrapped() {
            (inner, true) => inner.clone(),
            _ if ty == Ty::Dyn => ty,
            _ => {
                self.mismatch(id, &Ty::optional(ty.clone()), &ty);
                ty
            }
        }
    }

    /// The type that all of them have.
    fn common(&mut self, alike: Alike<'n>) -> Ty<'n> {
        let mut common: Option<Ty<'n>> = None;
        for (_, ty) in &alike {
            common = Some(match common {
                None => ty.clone(),
                Some(before) => self.known.joined(&before, ty).unwrap_or(Ty::Dyn),
            });
        }
        if self.formats == 0 && alike.len() > 1 {
            self.alike.push(alike);
        }
        common.unwrap_or_else(|| self.known.unknown())
    }

    fn comprehension(&mut self, loop_: &ComprehensionExpr) -> Ty<'n> {
        let range = self.check(&loop_.iter_range);
        let result = self.check(&loop_.accu_init);
        let range = self.known.resolved(&range, false);
        let each = match &range {
            Ty::List(items) => (**items).clone(),
            Ty::Map(keys, _) => (**keys).clone(),
            Ty::Dyn | Ty::Error | Ty::Var(_) => {
                self.known.fit(&Ty::Dyn, &range);
                Ty::Dyn
            }
            other => {
                let what = format!("expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)");
                self.wrong(loop_.iter_range.id, what)
            }
        };
        self.scopes.push((loop_.accu_var.clone(), result.clone()));
        self.scopes.push((loop_.iter_var.clone(), each));
        for (part, wanted) in [(&loop_.loop_cond, &BOOL), (&loop_.loop_step, &result)] {
            let found = self.check(part);
            if !self.known.fit(wanted, &found) {
                self.mismatch(part.id, wanted, &found);
            }
        }
        self.scopes.pop();
        let end = self.check(&loop_.result);
        self.scopes.pop();
        self.known.resolved(&end, false)
    }

    /// The name of a macro's variable.
    fn named(&mut self, argument: &IdedExpr) -> String {
        let name = cel_macros::variable(argument).map(str::to_owned);
        if name.is_none() {
            self.problems.push((argument.id, "argument must be a simple name".to_owned()));
        }
        name.unwrap_or_default()
    }

    /// `optMap` and `optFlatMap`.
    fn optional_macro(&mut self, id: u64, target: &IdedExpr, call: &CallExpr) -> Ty<'n> {
        let [name, wanted] = call.args.as_slice() else { return Ty::Error };
        let target = self.check(target);
        let target = self.known.resolved(&target, false);
        let held = match target.unwrapped() {
            (held, true) => held.clone(),
            _ if target.is_free() => Ty::Dyn,
            _ => {
                for asked in ["hasValue", "value"] {
                    self.problems.push((id, format!("found no matching overload for '{asked}' applied to '{target}.()'")));
                }
                Ty::Error
            }
        };
        let name = self.named(name);
        self.scopes.push((name, held));
        let made = self.check(wanted);
        self.scopes.pop();
        if call.func_name == "optMap" { Ty::optional(made) } else { made }
    }

    /// Macros over the keys and values of a map, or the places and items of a list.
    fn entries_macro(&mut self, id: u64, target: &IdedExpr, call: &CallExpr) -> Ty<'n> {
        let [first, second, rest @ ..] = call.args.as_slice() else { return Ty::Error };
        let range = self.check(target);
        let (key, value) = match self.known.resolved(&range, false) {
            Ty::List(items) => (INT, (*items).clone()),
            Ty::Map(keys, values) => ((*keys).clone(), (*values).clone()),
            Ty::Dyn | Ty::Error | Ty::Var(_) => (Ty::Dyn, Ty::Dyn),
            other => {
                let what = format!("expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)");
                self.wrong(target.id, what);
                (Ty::Error, Ty::Error)
            }
        };
        let (first, second) = (self.named(first), self.named(second));
        self.scopes.push((first, key.clone()));
        self.scopes.push((second, value));
        let found: Vec<Ty<'n>> = rest.iter().map(|argument| self.check(argument)).collect();
        self.scopes.truncate(self.scopes.len() - 2);
        let last = found.last().cloned().unwrap_or(Ty::Error);
        match (call.func_name.as_str(), rest, found.as_slice()) {
            ("all" | "exists", [condition], _) => {
                if !self.known.fit(&last, &BOOL) {
                    self.mismatch(condition.id, &BOOL, &last);
                }
                BOOL
            }
            ("existsOne" | "exists_one", ..) => {
                self.resolve(id, operators::CONDITIONAL, false, vec![last, INT, INT], call);
                BOOL
            }
            (name, _, found) => {
                let made = match name {
                    "transformList" => Ty::list(last),
                    "transformMap" => Ty::map(key, last),
                    _ => last,
                };
                match found {
                    [condition, _] => self.resolve(id, operators::CONDITIONAL, false, vec![condition.clone(), made.clone(), made], call),
                    _ => made,
                }
            }
        }
    }
}

/// `a.b.c` as one name.
fn dotted(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.strip_prefix('.').unwrap_or(name).to_owned()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", dotted(&select.operand)?, select.field)),
        _ => None,
    }
}
