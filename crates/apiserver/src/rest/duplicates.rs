//! Finds keys that a JSON text gives twice: strict decoding names them, a `Value` has already lost them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::texts::Texts;

/// Paths of repeated keys (`spec.replicas`), in order. Text that is not JSON has none.
pub(crate) fn duplicates(json: &[u8]) -> Vec<String> {
    let state = RefCell::new(State::default());
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // An error was or will be reported by whoever decodes the text.
    let _ = Walk(&state).deserialize(&mut deserializer);
    state.into_inner().found.into_vec()
}

#[derive(Default)]
struct State {
    /// To the value in hand; it grows and shrinks, since a copy for every value could be of any size.
    path: String,
    found: Texts,
}

#[derive(Clone, Copy)]
struct Walk<'a>(&'a RefCell<State>);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        let len = self.0.borrow().path.len();
        while let Some(key) = map.next_key::<String>()? {
            {
                let path = &mut self.0.borrow_mut().path;
                if len > 0 {
                    path.push('.');
                }
                path.push_str(&key);
            }
            if seen.insert(key) {
                map.next_value_seed(self)?;
            } else {
                {
                    let State { path, found } = &mut *self.0.borrow_mut();
                    found.push(|| path.clone());
                }
                map.next_value::<IgnoredAny>()?;
            }
            self.0.borrow_mut().path.truncate(len);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let len = self.0.borrow().path.len();
        let mut index = 0;
        loop {
            self.0.borrow_mut().path.push_str(&format!("[{index}]"));
            let more = seq.next_element_seed(self)?.is_some();
            self.0.borrow_mut().path.truncate(len);
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::duplicates;

    #[test]
    fn repeated_keys_are_named_by_path() {
        assert_eq!(duplicates(br#"{"a":1,"b":{"c":1,"c":[{"d":1}]},"a":2,"l":[{"x":1,"x":null}]}"#), ["b.c", "a", "l[0].x"]);
        assert!(duplicates(br#"{"a":{"x":1},"b":{"x":1.5},"c":[true,-1]}"#).is_empty());
        assert!(duplicates(b"{bad").is_empty());
    }

    #[test]
    fn long_paths_cost_their_length_once() {
        let fields: Vec<String> = (0..100_000).map(|n| format!("\"{n}\":1,\"{n}\":1")).collect();
        let json = format!("{{\"{}\":{{{}}}}}", "x".repeat(1 << 20), fields.join(","));
        assert_eq!(duplicates(json.as_bytes()).len(), 1);
    }
}
