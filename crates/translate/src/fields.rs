//! Fields that a user has set and that have no effect yet: named, never passed over.

use std::fmt::Display;

/// What a warning says about fields without effect.
pub(crate) fn message<T: Display>(paths: &[T]) -> String {
    let paths: Vec<String> = paths.iter().map(T::to_string).collect();
    format!("These fields are not supported yet and have no effect: {}", paths.join(", "))
}

/// Collects the paths of fields that are set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) paths: Vec<String>,
}

impl Fields {
    /// Notes `path` if the field is set.
    pub(crate) fn note(&mut self, path: &str, field: impl IsSet) {
        if field.is_set() {
            self.paths.push(path.to_owned());
        }
    }
}

/// Whether a field was given by the user.
pub(crate) trait IsSet {
    fn is_set(&self) -> bool;
}

impl IsSet for bool {
    fn is_set(&self) -> bool {
        *self
    }
}

impl<T> IsSet for &Option<T> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
}

impl<T> IsSet for &Vec<T> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

impl<K, V> IsSet for &std::collections::BTreeMap<K, V> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}
