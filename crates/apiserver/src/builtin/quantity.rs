//! Quantities: `100m`, `1.5Gi`, `1e3`. A number in JSON is one too, and becomes text, as clients read nothing else.

use serde_json::{Number, Value};

/// The name of the definition whose fields are quantities.
pub(super) const DEFINITION: &str = "resource.Quantity";

/// Turns a quantity into its text; the error is Go's.
pub(super) fn normalize(value: &mut Value) -> Result<(), String> {
    if let Value::Number(number) = value {
        *value = from_number(number).into();
    }
    match value.as_str() {
        Some(text) if is_quantity(text) => Ok(()),
        _ => Err("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned()),
    }
}

fn from_number(number: &Number) -> String {
    match number.as_f64() {
        Some(f) if number.is_f64() && (f * 1000.0).fract() == 0.0 && f.fract() != 0.0 => format!("{}m", f * 1000.0),
        _ => number.to_string(),
    }
}

fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, suffix) = unsigned.split_at(unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len()));
    let is_number = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() <= 1;
    let units = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|e| e.parse::<i16>().is_ok());
    is_number && (units.contains(&suffix) || exponent)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_text() {
        for (given, text) in [
            (json!(1), "1"),
            (json!(0.5), "500m"),
            (json!("1.5Gi"), "1.5Gi"),
            (json!("1e3"), "1e3"),
            (json!("-1"), "-1"),
            (json!("12E"), "12E"),
        ] {
            let mut value = given.clone();
            normalize(&mut value).unwrap();
            assert_eq!(value, text, "{given}");
        }
        for bad in [json!("1 Gi"), json!("Gi"), json!(""), json!("1.2.3"), json!(true), json!("1gb")] {
            assert!(normalize(&mut bad.clone()).is_err(), "{bad}");
        }
    }
}
