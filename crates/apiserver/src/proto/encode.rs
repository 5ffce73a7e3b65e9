//! JSON to messages: the way back of [`super::decode`].

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::messages::{self, Entry, Kind, Message, Shape};
use super::wire::{put_bytes, put_fixed64, put_varint};

/// Deepest nesting; schemas in definitions nest deepest.
const MAX_DEPTH: usize = 200;

/// Adds the fields of `object` that the message has, in the order of their numbers. What is absent has the zero value.
pub(super) fn message(message: &Message, object: &Map<String, Value>, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("objects nest deeper than {MAX_DEPTH}"));
    }
    for (number, entry) in message {
        if let (Shape::Inline, Kind::Message(name)) = (entry.shape, entry.kind) {
            let mut inner = Vec::new();
            self::message(known(name)?, object, &mut inner, depth + 1)?;
            put_bytes(out, *number, &inner);
            continue;
        }
        let Some(field) = object.get(entry.name) else { continue };
        match (entry.shape, field) {
            (_, Value::Null) => {}
            (Shape::Repeated, Value::Array(items)) => items.iter().try_for_each(|item| value(entry, *number, item, out, depth))?,
            (Shape::Map, Value::Object(map)) => {
                for (key, field) in map {
                    let mut pair = Vec::new();
                    put_bytes(&mut pair, 1, key.as_bytes());
                    value(entry, 2, field, &mut pair, depth)?;
                    put_bytes(out, *number, &pair);
                }
            }
            (Shape::Repeated | Shape::Map, _) => return Err(mismatch(entry)),
            _ => value(entry, *number, field, out, depth)?,
        }
    }
    Ok(())
}

fn known(name: &str) -> Result<&'static Message, String> {
    messages::find(name).ok_or_else(|| format!("message {name} is not known"))
}

fn mismatch(entry: &Entry) -> String {
    format!("field {} has another type than its kind", entry.name)
}

fn value(entry: &Entry, number: u64, value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    let wrong = || mismatch(entry);
    match entry.kind {
        // Earlier versions kept nulls in lists; Go reads the zero value.
        Kind::Text | Kind::Bytes if value.is_null() => put_bytes(out, number, &[]),
        Kind::Integer | Kind::Boolean if value.is_null() => {
            put_varint(out, number << 3);
            put_varint(out, 0);
        }
        Kind::Double if value.is_null() => put_fixed64(out, number, 0),
        Kind::Text => put_bytes(out, number, value.as_str().ok_or_else(wrong)?.as_bytes()),
        // Earlier versions kept base64 as it came, with line breaks.
        Kind::Bytes => {
            let base64 = value.as_str().ok_or_else(wrong)?.replace(['\n', '\r'], "");
            put_bytes(out, number, &STANDARD.decode(base64).map_err(|_| wrong())?);
        }
        Kind::Integer => {
            put_varint(out, number << 3);
            put_varint(out, integer(value).ok_or_else(wrong)?.cast_unsigned());
        }
        Kind::Boolean => {
            put_varint(out, number << 3);
            put_varint(out, u64::from(value.as_bool().ok_or_else(wrong)?));
        }
        Kind::Double => put_fixed64(out, number, value.as_f64().ok_or_else(wrong)?.to_bits()),
        Kind::Message(name) => {
            let mut inner = Vec::new();
            nested(name, value, &mut inner, depth + 1)?.ok_or_else(wrong)?;
            put_bytes(out, number, &inner);
        }
    }
    Ok(())
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9.0e18).map(|f| f as i64))
}

/// A message that is a field; some have a JSON form of their own. None when the value is of no form that the message has.
fn nested(name: &str, value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<Option<()>, String> {
    match (name, value) {
        ("runtime.RawExtension" | "meta.FieldsV1" | "apiextensions.JSON", raw) => put_bytes(out, 1, raw.to_string().as_bytes()),
        (_, Value::Null) => {}
        ("meta.Time", Value::String(text)) => return Ok(time(text, false, out)),
        ("meta.MicroTime", Value::String(text)) => return Ok(time(text, true, out)),
        ("resource.Quantity", Value::String(text)) => put_bytes(out, 1, text.as_bytes()),
        ("resource.Quantity", Value::Number(number)) => put_bytes(out, 1, number.to_string().as_bytes()),
        ("intstr.IntOrString", Value::String(text)) => {
            put_varint(out, 1 << 3);
            put_varint(out, 1);
            put_bytes(out, 3, text.as_bytes());
        }
        ("intstr.IntOrString", number) => {
            let Some(number) = integer(number) else { return Ok(None) };
            put_varint(out, 2 << 3);
            put_varint(out, number.cast_unsigned());
        }
        ("authentication.ExtraValue" | "authorization.ExtraValue", Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).for_each(|item| put_bytes(out, 1, item.as_bytes()));
        }
        ("apiextensions.JSONSchemaPropsOrBool", Value::Bool(allows)) => {
            put_varint(out, 1 << 3);
            put_varint(out, u64::from(*allows));
        }
        ("apiextensions.JSONSchemaPropsOrBool", schema) => {
            put_varint(out, 1 << 3);
            put_varint(out, 1);
            put_bytes(out, 2, &object("apiextensions.JSONSchemaProps", schema, depth)?);
        }
        ("apiextensions.JSONSchemaPropsOrArray", Value::Array(schemas)) => {
            for schema in schemas {
                put_bytes(out, 2, &object("apiextensions.JSONSchemaProps", schema, depth)?);
            }
        }
        ("apiextensions.JSONSchemaPropsOrStringArray", Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).for_each(|name| put_bytes(out, 2, name.as_bytes()));
        }
        ("apiextensions.JSONSchemaPropsOrArray" | "apiextensions.JSONSchemaPropsOrStringArray", schema) => {
            put_bytes(out, 1, &object("apiextensions.JSONSchemaProps", schema, depth)?);
        }
        (name, Value::Object(fields)) => message(known(name)?, fields, out, depth)?,
        _ => return Ok(None),
    }
    Ok(Some(()))
}

fn object(name: &str, value: &Value, depth: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let Value::Object(fields) = value else { return Err(format!("{name} is no object")) };
    message(known(name)?, fields, &mut out, depth + 1)?;
    Ok(out)
}

/// Seconds and, where they count, nanoseconds.
fn time(text: &str, fine: bool, out: &mut Vec<u8>) -> Option<()> {
    let time: Timestamp = text.parse().ok()?;
    let nanos = time.as_nanosecond();
    let (seconds, rest) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    put_varint(out, 1 << 3);
    put_varint(out, i64::try_from(seconds).ok()?.cast_unsigned());
    if fine {
        put_varint(out, 2 << 3);
        put_varint(out, u64::try_from(rest).ok()?);
    }
    Some(())
}
