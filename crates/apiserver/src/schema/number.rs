//! Numbers: ranges of formats, bounds, and the texts for both.

use serde_json::{Map, Number, Value};

use super::{FieldError, Type, node::Node, text};

/// Bounds of a number.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    minimum: Option<Number>,
    maximum: Option<Number>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<Number>,
}

impl Bounds {
    pub(super) fn parse(schema: &Map<String, Value>) -> Self {
        let number = |key: &str| schema.get(key).and_then(Value::as_number).cloned();
        let flag = |key: &str| schema.get(key).and_then(Value::as_bool) == Some(true);
        Self {
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
        }
    }

    pub(super) fn check(&self, value: &Number, path: &str, errors: &mut Vec<FieldError>) {
        let mut fail = |what: &str, bound: &Number| {
            let shown = Value::Number(value.clone());
            errors.push(FieldError::invalid(path, &shown, &format!("{path} in body should be {what} {}", text::number(&whole(bound)))));
        };
        if let Some(factor) = &self.multiple_of
            && !is_multiple(value, factor)
        {
            fail("a multiple of", factor);
        }
        if let Some(minimum) = &self.minimum {
            match (compare(value, minimum), self.exclusive_minimum) {
                (Some(order), true) if order.is_le() => fail("greater than", minimum),
                (Some(order), false) if order.is_lt() => fail("greater than or equal to", minimum),
                _ => {}
            }
        }
        if let Some(maximum) = &self.maximum {
            match (compare(value, maximum), self.exclusive_maximum) {
                (Some(order), true) if order.is_ge() => fail("less than", maximum),
                (Some(order), false) if order.is_gt() => fail("less than or equal to", maximum),
                _ => {}
            }
        }
    }
}

/// `10.0` as a bound is printed as `10`.
fn whole(number: &Number) -> Number {
    match number.as_f64() {
        Some(f) if number.is_f64() && f.fract() == 0.0 && f.abs() < 9.0e18 => Number::from(f as i64),
        _ => number.clone(),
    }
}

fn compare(a: &Number, b: &Number) -> Option<std::cmp::Ordering> {
    match (whole(a).as_i64(), whole(b).as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn is_multiple(value: &Number, factor: &Number) -> bool {
    if let (Some(value), Some(factor)) = (whole(value).as_i64(), whole(factor).as_i64()) {
        return factor != 0 && value.checked_rem(factor) == Some(0);
    }
    let (Some(value), Some(factor)) = (value.as_f64(), factor.as_f64()) else { return false };
    let times = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
    (times - times.round()).abs() < 1e-9
}

/// Whether Go holds this number as a float64: it has a fraction, or does not fit an int64.
pub(super) fn is_float(number: &Number) -> bool {
    number.as_i64().is_none()
}

/// Whether a float counts as an integer (`5.0`).
pub(super) fn is_whole(number: &Number) -> bool {
    number.as_f64().is_some_and(|f| f.fract() == 0.0 && f.abs() < (1u64 << 53) as f64)
}

/// The range of the node's format: `Checked value must be of type integer with format int32 in PATH`.
pub(super) fn check_range(node: &Node, number: &Number, path: &str, errors: &mut Vec<FieldError>) {
    let (name, fits) = match node.kind {
        // A fraction has the wrong type already, and there are two types that it could have had.
        Type::IntOrString if !is_whole(number) => return,
        Type::Integer | Type::IntOrString => {
            let fits = match (whole(number).as_i64(), node.format.as_deref()) {
                (Some(i), Some("int32")) => i32::try_from(i).is_ok(),
                (Some(_), _) => true,
                (None, _) => false,
            };
            ("integer", fits)
        }
        Type::Number => {
            let fits = node.format.as_deref() != Some("float") || number.as_f64().is_some_and(|f| f.abs() <= f64::from(f32::MAX));
            ("number", fits)
        }
        _ => return,
    };
    if fits {
        return;
    }
    errors.push(FieldError::composite(&match &node.format {
        Some(format) => format!("Checked value must be of type {name} with format {format} in {path}"),
        None => format!("Checked value must be of type {name} (default format) in {path}"),
    }));
}
