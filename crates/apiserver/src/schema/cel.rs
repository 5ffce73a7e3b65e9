//! CEL rules: `x-kubernetes-validations`.

use std::{cell::Cell, sync::Arc};

use kube_cel::cel::common::ast::{Expr, operators};
use kube_cel::cel::{Context, ExecutionError, IdedExpr, Value as Cel, objects::OptionalValue};
use serde_json::{Map, Value};

use super::{Additional, FieldError, Node, Type, cel_functions, cel_value, error, expression::Lazy, meter, old, path::Path, work};

/// Longest result of a `messageExpression`, as in kube-apiserver.
const MAX_MESSAGE: usize = 5 * 1024;

/// One rule of a node.
#[derive(Debug)]
pub(super) struct Rule {
    rule: String,
    message: Option<String>,
    reason: &'static str,
    /// Where the error is put, below the node: `a.b`.
    field_path: String,
    optional_old_self: bool,
    program: Lazy,
    message_program: Option<Lazy>,
}

impl Rule {
    pub(super) fn parse_all(schema: &Map<String, Value>) -> Result<Vec<Self>, String> {
        let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        rules.into_iter().flatten().map(Self::parse).collect()
    }

    fn parse(rule: &Value) -> Result<Self, String> {
        let text = |key: &str| rule.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        let source = text("rule").ok_or("x-kubernetes-validations: a rule without `rule`")?;
        Ok(Self {
            rule: source.to_owned(),
            message: text("message").map(|m| m.trim().to_owned()),
            reason: match text("reason") {
                Some("FieldValueForbidden") => error::FORBIDDEN,
                Some("FieldValueRequired") => error::REQUIRED,
                Some("FieldValueDuplicate") => error::DUPLICATE,
                _ => error::INVALID,
            },
            field_path: text("fieldPath").map(plain_path).unwrap_or_default(),
            optional_old_self: rule.get("optionalOldSelf").and_then(Value::as_bool) == Some(true),
            program: Lazy::new(source),
            message_program: text("messageExpression").map(Lazy::new),
        })
    }

    /// The rule in an error about the rule itself.
    fn named(&self) -> &str {
        self.message.as_deref().unwrap_or_else(|| self.rule.trim())
    }

    fn failure(&self, node: &Node, value: &Value, scope: &Context<'_>, path: &Path) -> FieldError {
        let detail =
            self.computed_message(scope).or_else(|| self.message.clone()).unwrap_or_else(|| format!("failed rule: {}", self.rule.trim()));
        let mut field = path.as_str().to_owned();
        if !self.field_path.is_empty() {
            field = if field.is_empty() { self.field_path.clone() } else { format!("{field}.{}", self.field_path) };
        }
        let bare = matches!(node.kind, Type::Object | Type::Array);
        match self.reason {
            error::FORBIDDEN => FieldError::forbidden(field, &detail),
            error::REQUIRED => FieldError::required(field, &detail),
            error::DUPLICATE if bare => FieldError::new(error::DUPLICATE, field, "Duplicate value".to_owned()),
            error::DUPLICATE => FieldError::duplicate(field, value),
            _ if bare => FieldError::invalid_bare(field, &detail),
            _ => FieldError::invalid(field, value, &detail),
        }
    }

    /// What `messageExpression` says, if it says something usable.
    fn computed_message(&self, scope: &Context<'_>) -> Option<String> {
        let program = self.message_program.as_ref()?.get().ok()?;
        let said = meter::admit(scope, &program.parsed).and_then(|()| scope.resolve(program.metered()));
        let Ok(Cel::String(message)) = said else { return None };
        let message = message.trim();
        (!message.is_empty() && message.len() <= MAX_MESSAGE && !message.contains('\n')).then(|| message.to_owned())
    }
}

/// `.a.b` and `['a']['b']` as `a.b`.
fn plain_path(json_path: &str) -> String {
    let names = json_path.split(['.', '[', ']']).map(|name| name.trim_matches('\'')).filter(|name| !name.is_empty());
    names.collect::<Vec<_>>().join(".")
}

thread_local! {
    /// The functions of Kubernetes' CEL libraries. A context is not shared between threads.
    static FUNCTIONS: Context<'static> = cel_functions::context();
    /// Steps that the rules of the object in hand may still take.
    static BUDGET: Cell<u64> = const { Cell::new(0) };
}

/// Whether an expression without variables has a value.
pub(super) fn is_valid(expression: &IdedExpr) -> bool {
    meter::begin(work::BUDGET);
    FUNCTIONS.with(|functions| functions.resolve(expression).is_ok())
}

/// Evaluates the rules of a whole object.
pub(super) fn check(root: &Node, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    BUDGET.set(work::BUDGET);
    meter::begin(work::BUDGET);
    FUNCTIONS.with(|functions| {
        let at = At { value: object, old, unchanged: false };
        walk(functions, root, at, &mut Path::root(), errors);
    });
}

/// A value on the way down.
#[derive(Clone, Copy)]
struct At<'v> {
    value: &'v Value,
    old: Option<&'v Value>,
    /// An ancestor equals its old value, so only transition rules can have something new to say.
    unchanged: bool,
}

fn walk(functions: &Context<'_>, node: &Node, at: At<'_>, path: &mut Path, errors: &mut Vec<FieldError>) {
    let At { value, old, unchanged } = at;
    if !node.deep.rules || value.is_null() {
        return;
    }
    let old = old.filter(|old| !old.is_null());
    let unchanged = unchanged || old == Some(value);
    check_rules(functions, node, At { value, old, unchanged }, path, errors);
    for branch in node.checks.iter().flat_map(|checks| &checks.junctors.all_of) {
        walk(functions, branch, At { value, old, unchanged }, path, errors);
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = At { value: field, old: old::field(node, old, name), unchanged };
                if let Some(child) = node.properties.get(name.as_str()) {
                    path.child(name, |path| walk(functions, child, at, path, errors));
                } else if let Additional::Schema(child) = &node.additional {
                    path.key(name, |path| walk(functions, child, at, path, errors));
                }
            }
        }
        Value::Array(items) => {
            let Some(child) = &node.items else { return };
            let before = old::Items::new(node, old);
            for (index, item) in items.iter().enumerate() {
                let at = At { value: item, old: before.get(item), unchanged };
                path.index(index, |path| walk(functions, child, at, path, errors));
            }
        }
        _ => {}
    }
}

fn check_rules(functions: &Context<'_>, node: &Node, at: At<'_>, path: &Path, errors: &mut Vec<FieldError>) {
    if node.rules.is_empty() {
        return;
    }
    let mut scope = functions.new_inner_scope();
    scope.add_variable_from_value("self", cel_value::convert(node, at.value));
    let old = at.old.map(|old| cel_value::convert(node, old));
    if let Some(old) = &old {
        scope.add_variable_from_value("oldSelf", old.clone());
    }
    for rule in &node.rules {
        if !rule.optional_old_self {
            check_rule(rule, node, at, &scope, path, errors);
            continue;
        }
        let optional = old.clone().map_or_else(OptionalValue::none, OptionalValue::of);
        let mut scope = scope.new_inner_scope();
        scope.add_variable_from_value("oldSelf", Cel::Opaque(Arc::new(optional)));
        check_rule(rule, node, at, &scope, path, errors);
    }
}

fn check_rule(rule: &Rule, node: &Node, at: At<'_>, scope: &Context<'_>, path: &Path, errors: &mut Vec<FieldError>) {
    let broken = |detail: String| FieldError::invalid(path.as_str(), &Value::from(node.kind.name()), &detail);
    let expression = match rule.program.get() {
        Ok(expression) => expression,
        Err(e) => return errors.push(broken(format!("rule compile error: {e}"))),
    };
    if (expression.uses_old && at.old.is_none() && !rule.optional_old_self) || (at.unchanged && !expression.uses_old) {
        return;
    }
    let too_much = "validation failed due to running out of cost budget, no further validation rules will be run";
    if meter::is_spent() {
        return;
    }
    let Some(left) = BUDGET.get().checked_sub(work::bound(expression.loops, [Some(at.value), at.old])) else {
        return errors.push(broken(too_much.to_owned()));
    };
    BUDGET.set(left);
    let said = meter::admit(scope, &expression.parsed).and_then(|()| scope.resolve(expression.metered()));
    if meter::is_spent() {
        return errors.push(broken(too_much.to_owned()));
    }
    match said {
        Ok(Cel::Bool(true)) => {}
        Ok(Cel::Bool(false)) => errors.push(rule.failure(node, at.value, scope, path)),
        Ok(_) => errors.push(broken(format!("result is not a bool evaluating rule: {}", rule.named()))),
        Err(e) => {
            // Looking costs as much again as evaluating, for each level.
            let e = if expression.loops == 0 { first_failure(scope, &expression.parsed).unwrap_or(e) } else { e };
            errors.push(broken(format!("{} evaluating rule: {}", reason(&e), rule.named())));
        }
    }
}

/// Where both sides of an `||` or `&&` fail, the cel crate tells of the second and cel-go of the first.
fn first_failure(scope: &Context<'_>, expression: &IdedExpr) -> Option<ExecutionError> {
    let fails = |part: &IdedExpr| scope.resolve(part).is_err();
    if let Expr::Call(call) = &expression.expr {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_OR | operators::LOGICAL_AND, [first, second]) => {
                return first_failure(scope, if fails(first) { first } else { second });
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                return first_failure(
                    scope,
                    match scope.resolve(condition) {
                        Err(_) => condition,
                        Ok(Cel::Bool(true)) => yes,
                        Ok(_) => no,
                    },
                );
            }
            (operators::LOGICAL_NOT, [negated]) => return first_failure(scope, negated),
            _ => {}
        }
    }
    scope.resolve(expression).err()
}

/// Why an evaluation failed, in cel-go's words where they are common.
fn reason(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::UndeclaredReference(name) => format!("undeclared reference to '{name}'"),
        ExecutionError::IndexOutOfBounds(Cel::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::FunctionError { function, .. } if function == "duration" => {
            "type conversion error from 'string' to 'google.protobuf.Duration'".to_owned()
        }
        other => other.to_string(),
    }
}
