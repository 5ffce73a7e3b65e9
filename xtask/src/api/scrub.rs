//! What two servers cannot say alike is replaced: uids, times, resourceVersions, addresses, generated names, ages. JSON is laid out, its keys
//! sorted.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Makes an answer comparable. `namespace` is the case's own.
pub(crate) fn scrub(text: &str, namespace: &str) -> String {
    let text = text.replace(namespace, "NS");
    let (mut tidied, mut rest) = (String::new(), text.as_str());
    while let Some(first) = rest.lines().next() {
        let (part, length) = match json(rest) {
            Some((value, length)) => (words(&serde_json::to_string_pretty(&value).unwrap_or_default()), length),
            None => (line(first), first.len()),
        };
        tidied.push_str(part.trim_end());
        tidied.push('\n');
        rest = rest[length..].trim_start_matches('\r');
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    sort_causes(tidied.trim_end())
}

/// kubectl's list of causes in the order of the alphabet: a real server finds them in another order each time.
fn sort_causes(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.chunk_by_mut(|one, next| one.starts_with("* ") && next.starts_with("* ")).for_each(|causes| causes.sort_unstable());
    lines.join("\n")
}

/// An object in JSON that `text` begins with and that ends with a line, and its length.
fn json(text: &str) -> Option<(Value, usize)> {
    let mut values = text.starts_with('{').then(|| serde_json::Deserializer::from_str(text).into_iter::<Value>())?;
    let mut value = values.next()?.ok()?;
    let length = values.byte_offset();
    tidy(&mut value);
    text[length..].chars().next().is_none_or(|next| next == '\n').then_some((value, length))
}

fn line(line: &str) -> String {
    let ages = AGE.replace_all(line, "${1}AGE");
    // Columns are as wide as what stands in them.
    let indent = ages.len() - ages.trim_start_matches(' ').len();
    format!("{}{}", " ".repeat(indent), GAP.replace_all(words(&ages).trim(), "  "))
}

/// Sorts keys, and removes what is compared by cases of its own.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("managedFields");
            order_causes(map);
            map.sort_keys();
            if let Some(Value::Array(columns)) = map.get_mut("columnDefinitions") {
                // Each server describes its columns in its own words.
                columns.iter_mut().for_each(describe_not);
            }
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &*value) {
                    ("resourceVersion", Value::String(text)) if !text.is_empty() && text != "0" => *value = "RV".into(),
                    ("continue", Value::String(text)) if !text.is_empty() => *value = "CONTINUE".into(),
                    ("storageVersionHash", _) => *value = "HASH".into(),
                    ("nodePort" | "healthCheckNodePort", Value::Number(_)) => *value = 30000.into(),
                    ("cells", Value::Array(cells)) => {
                        let age =
                            |cell: &Value| if cell.as_str().is_some_and(|text| CELL.is_match(text)) { "AGE".into() } else { cell.clone() };
                        *value = cells.iter().map(age).collect();
                    }
                    _ => tidy(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn describe_not(column: &mut Value) {
    if let Some(description) = column.get_mut("description").filter(|description| *description != "") {
        *description = "DESCRIPTION".into();
    }
}

/// Puts a custom resource's causes in order, and the message that lists them.
fn order_causes(status: &mut serde_json::Map<String, Value>) {
    let Some(details) = status.get_mut("details").filter(|details| details["group"].as_str().is_some_and(|group| group.contains('.')))
    else {
        return;
    };
    let Some(causes) = details.get_mut("causes").and_then(Value::as_array_mut).filter(|causes| causes.len() > 1) else { return };
    let text = |cause: &Value| {
        let part = |name: &str| cause[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", part("field"), part("message"))
    };
    causes.sort_by_key(text);
    let list: Vec<String> = causes.iter().map(text).collect();
    if let Some((before, _)) = status.get("message").and_then(Value::as_str).and_then(|message| message.split_once(" is invalid: [")) {
        let message = format!("{before} is invalid: [{}]", list.join(", "));
        status.insert("message".to_owned(), message.into());
    }
}

/// The part of [`scrub`] that looks at words alone.
pub(crate) fn words(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

#[expect(clippy::expect_used, reason = "the patterns are written here")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// An age as kubectl prints it, with what is before it.
static AGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(^|\s)(\d+m)?\d+[sm]\b"));
static CELL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^((\d+m)?\d+[sm]|<unknown>)$"));
static GAP: LazyLock<Regex> = LazyLock::new(|| pattern(r"  +"));
static WORDS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "TIME"),
        (r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
        (r#"(resourceVersion\\*"?: *\\*")[1-9]\d*"#, "${1}RV"),
        (r"(ResourceVersion in record \()\d+", "${1}RV"),
        (r#"(pod-template-hash\\*"?[=:] *\\*"?)[a-z0-9]+"#, "${1}HASH"),
        (r"\b[EIW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([a-z_]+\.go):\d+\]", "$1:"),
        (r"\b127\.0\.0\.1:[67]443\b", "SERVER"),
        (r"(Resource Version: +)\d+", "${1}RV"),
        (r"(resource version: \d+ \()\d+", "${1}RV"),
        (r"(resource version: \d+, current: )\d+", "${1}RV"),
        (r"(nodePort: )\d+", "${1}30000"),
        (r"\b(10\.96|10\.244|127\.\d+)\.\d+\.\d+\b", "IP"),
        (r"/tmp/(LIVE|MERGED)-\d+", "/tmp/$1"),
        // A ReplicaSet's hash, and its pods' random ends: neither has vowels.
        (r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b(-[bcdfghjklmnpqrstvwxz2456789]{5}\b)?", "-HASH"),
    ]
    .map(|(text, with)| (pattern(text), with))
    .into()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_servers_is_replaced() {
        let json = r#"{"b":1,"a":{"uid":"cf5fd9eb-0000-4000-8000-000000000000","resourceVersion":"7","managedFields":[]}}"#;
        assert_eq!(scrub(json, "x-1"), "{\n  \"a\": {\n    \"resourceVersion\": \"RV\",\n    \"uid\": \"UID\"\n  },\n  \"b\": 1\n}");
        assert_eq!(scrub("NAME    READY   AGE\nx-1   1/1     75s  \n", "x-1"), "NAME  READY  AGE\nNS  1/1  AGE");
        assert_eq!(scrub("  app-7d9f8c6b54-x2x4z   10.96.0.7", "n"), "  app-HASH  IP");
        assert_eq!(scrub(r#"{"cells":["a","3m2s",1]}"#, "n"), "{\n  \"cells\": [\n    \"a\",\n    \"AGE\",\n    1\n  ]\n}");
    }
}
