//! Bodies of requests: protobuf, and JSON of every built-in kind. Promised: no panic; what was decoded once decodes again to itself; and
//! what defaults were set in stays as it is when they are set again.

use serde_json::Value;
use weir_apiserver::{builtin, proto};

pub(crate) fn decode(data: &[u8]) {
    let object = match data {
        [b'k', ..] => proto::decode(data).ok(),
        data => serde_json::from_slice::<Value>(data).ok(),
    };
    let Some(mut object) = object else { return };
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, name) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let Some(kind) = builtin::by_kind(group, version, &name) else { return };
    if kind.decode_check(&mut object).is_err() {
        return;
    }
    let mut again = object.clone();
    assert_eq!(kind.decode_check(&mut again), Ok(Vec::new()), "something unknown is left in {object}");
    assert_eq!(again, object, "decoded twice");
    kind.default(&mut object);
    let mut again = object.clone();
    kind.default(&mut again);
    assert_eq!(again, object, "defaults set twice");
    let _ = kind.validate(&object, None);
    let _ = kind.validate(&object, Some(&object));
}
