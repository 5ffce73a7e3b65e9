//! How much work a rule can make: an upper bound, known before it is evaluated.

use serde_json::Value;

/// For one object. A step takes some 100 ns.
pub(super) const BUDGET: u64 = 40_000_000;
/// Characters that a function on text goes through in about the time of one step.
const TEXT: u64 = 1024;

/// The most steps that an expression with so many loops inside each other takes on this value.
pub(super) fn bound(loops: u32, values: [Option<&Value>; 2]) -> u64 {
    if loops == 0 {
        return 1;
    }
    let (mut items, mut text) = (1, 0);
    for value in values.into_iter().flatten() {
        largest(value, &mut items, &mut text);
    }
    items.saturating_pow(loops).saturating_mul(1 + text / TEXT)
}

/// The longest list or map, and the longest text.
fn largest(value: &Value, items: &mut u64, text: &mut u64) {
    match value {
        Value::Array(list) => {
            *items = (*items).max(list.len() as u64);
            list.iter().for_each(|item| largest(item, items, text));
        }
        Value::Object(fields) => {
            *items = (*items).max(fields.len() as u64);
            fields.values().for_each(|field| largest(field, items, text));
        }
        Value::String(s) => *text = (*text).max(s.len() as u64),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn loops_inside_loops_multiply() {
        let value = json!({"a": [1, 2, 3], "b": {"c": "x".repeat(2048)}});
        assert_eq!(bound(0, [Some(&value), None]), 1);
        assert_eq!(bound(1, [Some(&value), None]), 9);
        assert_eq!(bound(2, [Some(&value), Some(&json!(vec![0; 10]))]), 300);
        assert_eq!(bound(9, [Some(&json!(vec![0; 100_000])), None]), u64::MAX);
    }
}
