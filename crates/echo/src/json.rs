//! JSON as Go's `encoding/json` writes it.

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

/// Indented by one space, without a line end after it.
pub(crate) fn indented(value: &impl Serialize) -> String {
    let mut bytes = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b" "));
    value.serialize(&mut serializer).expect("texts, lists and maps of texts can always be written");
    html_safe(&String::from_utf8_lossy(&bytes))
}

/// On one line.
pub(crate) fn compact(value: &impl Serialize) -> String {
    html_safe(&serde_json::to_string(value).expect("texts, lists and maps of texts can always be written"))
}

/// Go escapes these, so that JSON can be put into HTML. They occur in texts only, never in JSON's own syntax.
fn html_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            _ => safe.push(letter),
        }
    }
    safe
}
