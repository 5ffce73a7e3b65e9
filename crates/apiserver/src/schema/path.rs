//! A field path that grows and shrinks while a walk goes down and up.

/// `spec.ports[0].port`, kept in one buffer.
#[derive(Debug)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Runs `f` at the child field `name`.
    pub(super) fn child<T>(&mut self, name: &str, f: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.0.len();
        if len > 0 {
            self.0.push('.');
        }
        self.0.push_str(name);
        let result = f(self);
        self.0.truncate(len);
        result
    }

    /// Runs `f` at the list item `index`.
    pub(super) fn index<T>(&mut self, index: usize, f: impl FnOnce(&mut Self) -> T) -> T {
        self.key(&index.to_string(), f)
    }

    /// Runs `f` at the map entry `key`, written `[key]`.
    pub(super) fn key<T>(&mut self, key: &str, f: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.0.len();
        self.0.push('[');
        self.0.push_str(key);
        self.0.push(']');
        let result = f(self);
        self.0.truncate(len);
        result
    }
}
