//! A flaky backend: requests that fail a number of times before they succeed.

use std::collections::HashMap;
use std::sync::Mutex;

/// How often each request, known by its `uuid`, has failed.
#[derive(Default)]
pub(crate) struct Retries {
    failed: Mutex<HashMap<String, i64>>,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Succeeds,
    Fails,
}

impl Retries {
    /// The next attempt of `uuid`: the first `succeed_after` of them fail.
    pub(crate) fn attempt(&self, uuid: &str, succeed_after: i64) -> Attempt {
        let mut failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let failures = failed.entry(uuid.to_owned()).or_default();
        if *failures < succeed_after {
            *failures += 1;
            Attempt::Fails
        } else {
            Attempt::Succeeds
        }
    }
}
