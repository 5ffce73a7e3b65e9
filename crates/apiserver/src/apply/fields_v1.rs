//! `FieldsV1`: the JSON in which sets of fields are exchanged.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::element::Element;
use super::set::{Branch, FieldSet};
use crate::object::is_deeper;

/// Deeper than the fields of any object that is stored, and so little that the JSON parser (128 levels) can read back what they are in.
const MAX_DEPTH: usize = 110;

/// Reads a set from its text.
pub(crate) fn parse(text: &str) -> Result<FieldSet, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Fields).map(|(_, set)| set).map_err(|e| e.to_string())
}

/// Reads a set from decoded JSON.
pub(crate) fn from_value(value: &Value) -> Result<FieldSet, String> {
    if is_deeper(value, MAX_DEPTH) {
        return Err(format!("nested too deeply: at most {MAX_DEPTH} levels are allowed"));
    }
    value.deserialize_map(Fields).map(|(_, set)| set).map_err(|e: serde_json::Error| e.to_string())
}

/// A set, and whether the path that leads to it is a member itself.
#[derive(Clone, Copy)]
struct Fields;

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = (bool, FieldSet);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = (bool, FieldSet);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut member, mut branches, mut empty) = (false, Vec::new(), true);
        while let Some(key) = map.next_key::<String>()? {
            empty = false;
            let (marked, below) = map.next_value_seed(Self)?;
            if key == "." {
                member = true;
                continue;
            }
            branches.push(Branch { element: Element::parse(&key).map_err(A::Error::custom)?, member: marked, below });
        }
        // `{}` says that the path itself is in the set.
        Ok((member || empty, FieldSet::of(branches)))
    }
}

/// Writes a set's text.
pub(crate) fn text(set: &FieldSet) -> String {
    let mut out = String::new();
    write(set, false, &mut out);
    out
}

fn write(set: &FieldSet, member: bool, out: &mut String) {
    out.push('{');
    // A member without anything below it is `{}`.
    if member && !set.is_empty() {
        out.push_str("\".\":{}");
    }
    for (index, branch) in set.branches().iter().enumerate() {
        if index > 0 || member {
            out.push(',');
        }
        out.push_str(&Value::from(branch.element.text()).to_string());
        out.push(':');
        write(&branch.below, branch.member, out);
    }
    out.push('}');
}
