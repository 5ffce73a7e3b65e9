//! Messages to JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    messages::{self, Entry, Kind, Message, Shape},
    wire::{self, Field, Reader},
};

/// Deepest nesting of messages; a pod in a template nests some 12 deep, a schema up to 100.
const MAX_DEPTH: usize = 120;

/// Adds the fields of one message to `object`. Fields that the message does not have are skipped, as a Go server skips them.
pub(super) fn message(message: &Message, bytes: &[u8], object: &mut Map<String, Value>, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("proto: messages nest deeper than {MAX_DEPTH}"));
    }
    for field in Reader::new(bytes) {
        let (number, field) = field?;
        let Some(entry) = message.get(&number) else { continue };
        match entry.shape {
            Shape::Inline => {
                if let (Kind::Message(name), Field::Bytes(bytes)) = (entry.kind, field) {
                    self::message(known(name)?, bytes, object, depth + 1)?;
                }
            }
            Shape::One { keep_zero } => match value(entry, field, depth)? {
                Value::Null => {}
                value if is_zero(&value) && !keep_zero => {}
                value => drop(object.insert(entry.name.to_owned(), value)),
            },
            Shape::Repeated => {
                let value = value(entry, field, depth)?;
                if let Value::Array(list) = object.entry(entry.name).or_insert_with(|| Value::Array(Vec::new())) {
                    list.push(value);
                }
            }
            Shape::Map => {
                let (key, value) = map_entry(entry, field, depth)?;
                if let Value::Object(map) = object.entry(entry.name).or_insert_with(|| Value::Object(Map::new())) {
                    map.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

fn known(name: &str) -> Result<&'static Message, String> {
    messages::find(name).ok_or_else(|| format!("proto: message {name} is not known"))
}

fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Bool(false)) || value == &Value::from("") || value == &Value::from(0)
}

fn map_entry(entry: &Entry, field: Field<'_>, depth: usize) -> Result<(String, Value), String> {
    let Field::Bytes(bytes) = field else { return Err(mismatch(entry)) };
    let mut key = String::new();
    let mut found = None;
    for field in Reader::new(bytes) {
        match field? {
            (1, Field::Bytes(text)) => key = wire::text(text)?,
            (2, field) => found = Some(value(entry, field, depth)?),
            _ => {}
        }
    }
    // A missing value is the zero value.
    let found = match found {
        Some(value) => value,
        None => value(entry, Field::Bytes(&[]), depth)?,
    };
    Ok((key, found))
}

fn mismatch(entry: &Entry) -> String {
    format!("proto: wrong wireType for field {}", entry.name)
}

fn value(entry: &Entry, field: Field<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (entry.kind, field) {
        (Kind::Text, Field::Bytes(bytes)) => wire::text(bytes)?.into(),
        (Kind::Bytes, Field::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        // Signed integers are two's complement in 64 bits.
        (Kind::Integer, Field::Varint(v)) => v.cast_signed().into(),
        (Kind::Boolean, Field::Varint(v)) => (v != 0).into(),
        (Kind::Double, Field::Fixed64(v)) => double(f64::from_bits(v)),
        (Kind::Message(name), Field::Bytes(bytes)) => nested(name, bytes, depth + 1)?,
        _ => return Err(mismatch(entry)),
    })
}

/// As Go writes it in JSON: without a fraction that is nothing.
fn double(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { (value as i64).into() } else { value.into() }
}

/// A message that is a field; some have a JSON form of their own.
fn nested(name: &str, bytes: &[u8], depth: usize) -> Result<Value, String> {
    match name {
        "meta.Time" => time(bytes, 0),
        "meta.MicroTime" => time(bytes, 6),
        "resource.Quantity" => Ok(single(bytes, 1)?.map(wire::text).transpose()?.unwrap_or_else(|| "0".to_owned()).into()),
        "intstr.IntOrString" => int_or_string(bytes),
        "runtime.RawExtension" | "meta.FieldsV1" | "apiextensions.JSON" => match single(bytes, 1)? {
            Some(raw) if !raw.is_empty() => serde_json::from_slice(raw).map_err(|e| e.to_string()),
            _ => Ok(Value::Null),
        },
        "authentication.ExtraValue" | "authorization.ExtraValue" => {
            let mut items = Vec::new();
            for field in Reader::new(bytes) {
                if let (1, Field::Bytes(text)) = field? {
                    items.push(wire::text(text)?.into());
                }
            }
            Ok(Value::Array(items))
        }
        "apiextensions.JSONSchemaPropsOrBool" | "apiextensions.JSONSchemaPropsOrArray" | "apiextensions.JSONSchemaPropsOrStringArray" => {
            schema_or(name, bytes, depth)
        }
        name => {
            let mut object = Map::new();
            message(known(name)?, bytes, &mut object, depth)?;
            Ok(Value::Object(object))
        }
    }
}

/// A schema, or what can stand in its place: a boolean, schemas, names.
fn schema_or(name: &str, bytes: &[u8], depth: usize) -> Result<Value, String> {
    let schema = |bytes| nested("apiextensions.JSONSchemaProps", bytes, depth + 1);
    let (mut found, mut list) = (None, Vec::new());
    for field in Reader::new(bytes) {
        match (name, field?) {
            ("apiextensions.JSONSchemaPropsOrBool", (1, Field::Varint(allows))) => found = found.or(Some(Value::Bool(allows != 0))),
            ("apiextensions.JSONSchemaPropsOrBool", (2, Field::Bytes(bytes))) | (_, (1, Field::Bytes(bytes))) => {
                found = Some(schema(bytes)?)
            }
            ("apiextensions.JSONSchemaPropsOrArray", (2, Field::Bytes(bytes))) => list.push(schema(bytes)?),
            ("apiextensions.JSONSchemaPropsOrStringArray", (2, Field::Bytes(text))) => list.push(wire::text(text)?.into()),
            _ => {}
        }
    }
    Ok(match (found, name) {
        (Some(found), _) => found,
        (None, "apiextensions.JSONSchemaPropsOrBool") => Value::Bool(false),
        (None, _) => Value::Array(list),
    })
}

fn single(bytes: &[u8], wanted: u64) -> Result<Option<&[u8]>, String> {
    let mut found = None;
    for field in Reader::new(bytes) {
        if let (number, Field::Bytes(bytes)) = field?
            && number == wanted
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}

/// `seconds` and `nanos`. A message without fields is Go's zero time, which is null in JSON.
fn time(bytes: &[u8], digits: u8) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (None, 0);
    for field in Reader::new(bytes) {
        match field? {
            (1, Field::Varint(v)) => seconds = Some(v.cast_signed()),
            (2, Field::Varint(v)) => nanos = v.cast_signed(),
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let nanos = if digits == 0 { 0 } else { i32::try_from(nanos).map_err(|_| "proto: a time is out of range")? };
    let time = Timestamp::new(seconds, nanos).map_err(|_| "proto: a time is out of range")?;
    Ok(format!("{time:.*}", usize::from(digits)).into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Reader::new(bytes) {
        match field? {
            (1, Field::Varint(kind)) => is_text = kind == 1,
            (2, Field::Varint(v)) => number = v.cast_signed(),
            (3, Field::Bytes(bytes)) => text = wire::text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}
