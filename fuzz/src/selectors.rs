//! Label and field selectors. Promised: no panic, and that `a` and `!a` are never of one mind.

use std::sync::OnceLock;

use serde_json::{Value, json};
use weir_apiserver::strangers::Selectors;

pub(crate) fn selectors(data: &[u8]) {
    static DOORS: OnceLock<(Selectors, Value)> = OnceLock::new();
    let (doors, object) = DOORS.get_or_init(|| {
        let metadata = json!({"name": "a", "namespace": "n", "labels": {"a": "b", "tier": "web", "n": "5"}});
        (Selectors::default(), json!({"metadata": metadata, "spec": {"nodeName": "node"}, "status": {"phase": "Running"}}))
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    let found = doors.labels(text, object);
    let _ = doors.fields(text, object);
    let word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if word && let (Some(has), Some(lacks)) = (found, doors.labels(&format!("!{text}"), object)) {
        assert_ne!(has, lacks, "{text}");
    }
    if let Some(found) = found {
        // Said twice it is the same.
        let twice = if text.trim().is_empty() { text.to_owned() } else { format!("{text},{text}") };
        assert_eq!(doors.labels(&twice, object), Some(found), "{twice}");
    }
}
