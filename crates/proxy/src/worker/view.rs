//! A request as routes see it: after the listener's own changes.

use std::borrow::Cow;

use weir_http1::{Field, Request};
use weir_route::RequestView;

use crate::mutation::Mutation;

/// A request as routes see it.
pub(crate) struct View<'a> {
    /// Lower case, without a port.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) head: &'a [u8],
    pub(crate) request: &'a Request,
    /// What the listener changes.
    pub(crate) early: &'a Mutation,
    /// Fields with an underscore in their name are dropped.
    pub(crate) drops_underscores: bool,
}

impl View<'_> {
    /// Whether a field that the client sent is still there.
    #[inline]
    pub(crate) fn keeps(&self, name: &[u8]) -> bool {
        self.early.keeps(name) && !(self.drops_underscores && name.contains(&b'_'))
    }

    /// Whether the client sent a field of that name.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.request.fields.iter().any(|field| field.name.bytes(self.head).eq_ignore_ascii_case(name))
    }

    /// What the listener adds.
    pub(crate) fn added(&self) -> impl Iterator<Item = (&str, &str)> {
        self.early.fields(|name| self.has(name))
    }
}

impl RequestView for View<'_> {
    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn method(&self) -> &str {
        std::str::from_utf8(self.request.method.bytes(self.head)).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let is_it = |field: &&Field| {
            let bytes = field.name.bytes(self.head);
            bytes.eq_ignore_ascii_case(name.as_bytes()) && self.keeps(bytes)
        };
        let sent = self.request.fields.iter().filter(is_it).map(|field| field.value.bytes(self.head));
        let added = self.added().filter(|(field, _)| *field == name).map(|(_, value)| value.as_bytes());
        let mut values = sent.chain(added);
        let first = values.next()?;
        match values.next() {
            None => Some(Cow::Borrowed(first)),
            Some(second) => {
                let mut all = [first, second].join(&b',');
                values.for_each(|value| {
                    all.push(b',');
                    all.extend_from_slice(value);
                });
                Some(Cow::Owned(all))
            }
        }
    }

    fn query(&self) -> Option<&str> {
        self.query
    }
}
