//! Resource versions: which of two states of an object is older.

use std::cmp::Ordering;

use serde_json::Value;

/// Resource versions are numbers that grow (Kubernetes made that official with KEP-5504; servers have done so all along). Where they are
/// not, nothing is older.
pub(crate) fn is_older(version: &str, than: &str) -> bool {
    // Compared as digits: whatever their length, nothing overflows.
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !digits(version) || !digits(than) {
        return false;
    }
    let [version, than] = [version, than].map(|it| it.trim_start_matches('0'));
    version.len().cmp(&than.len()).then_with(|| version.cmp(than)) == Ordering::Less
}

/// Whether `object` is an older state of the same object as `than` (one that was deleted and made again is another).
pub(crate) fn is_older_state(object: &Value, than: &Value) -> bool {
    let text =
        |it: &Value, key: &str| it.pointer("/metadata").and_then(|it| it.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
    text(object, "uid") == text(than, "uid") && is_older(&text(object, "resourceVersion"), &text(than, "resourceVersion"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_older("9", "10") && !is_older("10", "9") && !is_older("10", "10"));
        assert!(is_older("7", "99999999999999999999999999999999999999999999"));
        assert!(!is_older("a", "b") && !is_older("", "1"));
    }

    #[test]
    fn only_states_of_one_object_are_compared() {
        let state = |uid: &str, version: &str| json!({ "metadata": { "uid": uid, "resourceVersion": version } });
        assert!(is_older_state(&state("a", "1"), &state("a", "2")));
        assert!(!is_older_state(&state("b", "1"), &state("a", "2")));
    }
}
