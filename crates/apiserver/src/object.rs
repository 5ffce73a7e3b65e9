//! Reading and writing the metadata of an object that is kept as JSON.

use serde_json::{Map, Value};

/// Metadata of a JSON object, without a type for it.
pub(crate) trait ObjectExt {
    fn meta(&self, key: &str) -> Option<&Value>;
    fn meta_map(&mut self) -> &mut Map<String, Value>;

    fn meta_str(&self, key: &str) -> &str {
        self.meta(key).and_then(Value::as_str).unwrap_or_default()
    }
    fn name(&self) -> &str {
        self.meta_str("name")
    }
    fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }
    fn uid(&self) -> &str {
        self.meta_str("uid")
    }
    fn resource_version(&self) -> &str {
        self.meta_str("resourceVersion")
    }
    fn label(&self, key: &str) -> Option<&str> {
        self.meta("labels").and_then(|l| l.get(key)).and_then(Value::as_str)
    }
    fn is_deleting(&self) -> bool {
        self.meta("deletionTimestamp").is_some_and(|t| !t.is_null())
    }
    fn generation(&self) -> i64 {
        self.meta("generation").and_then(Value::as_i64).unwrap_or(0)
    }
    fn finalizers(&self) -> Vec<&str> {
        let list = self.meta("finalizers").and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
    fn owner_references(&self) -> &[Value] {
        self.meta("ownerReferences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }
    fn set_meta(&mut self, key: &str, value: impl Into<Value>) {
        self.meta_map().insert(key.to_owned(), value.into());
    }
    fn unset_meta(&mut self, key: &str) {
        self.meta_map().shift_remove(key);
    }
    fn add_finalizer(&mut self, name: &str) {
        if !self.finalizers().contains(&name) {
            let list = self.meta_map().entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
            if let Some(list) = list.as_array_mut() {
                list.push(Value::from(name));
            }
        }
    }
    fn remove_finalizer(&mut self, name: &str) {
        let left: Vec<Value> = self.finalizers().into_iter().filter(|f| *f != name).map(Value::from).collect();
        if left.is_empty() {
            self.unset_meta("finalizers");
        } else {
            self.set_meta("finalizers", left);
        }
    }
}

impl ObjectExt for Value {
    fn meta(&self, key: &str) -> Option<&Value> {
        self.get("metadata")?.get(key)
    }

    fn meta_map(&mut self) -> &mut Map<String, Value> {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        let root = self.as_object_mut().expect("made an object above");
        let metadata = root.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        metadata.as_object_mut().expect("made an object above")
    }
}

/// Whether lists and objects are inside each other for more than so many levels. Looks no deeper than that.
pub(crate) fn is_deeper(value: &Value, levels: usize) -> bool {
    let mut inside: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => return false,
    };
    levels == 0 || inside.any(|v| is_deeper(v, levels - 1))
}

/// Now, as the API writes times: RFC 3339, whole seconds, UTC.
pub(crate) fn now() -> String {
    in_seconds(0)
}

/// The time `seconds` from now, as the API writes times.
pub(crate) fn in_seconds(seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second().saturating_add(seconds);
    jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Sets `key`, or removes it when there is nothing to set.
pub(crate) fn set_or_remove(object: &mut Value, key: &str, value: Option<&Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => {
                map.insert(key.to_owned(), value.clone());
            }
            None => {
                map.shift_remove(key);
            }
        }
    }
}
