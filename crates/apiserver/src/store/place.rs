//! Where objects are on their shelf, in the order of lists.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Key;

/// A namespace and a name, in the order of `namespace/name`, in which `a-b/` comes before `a/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
}

impl Place {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(super) fn of(key: &Key) -> Self {
        Self { namespace: Arc::clone(&key.namespace), name: Arc::clone(&key.name) }
    }

    pub(super) fn key(&self, shelf: &Arc<str>) -> Key {
        Key { shelf: Arc::clone(shelf), namespace: Arc::clone(&self.namespace), name: Arc::clone(&self.name) }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.namespace == other.namespace {
            return self.name.cmp(&other.name);
        }
        self.namespace.bytes().chain([b'/']).cmp(other.namespace.bytes().chain([b'/']))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Two sorted sequences of what is at places, as one.
pub(super) fn merged<'a, T>(
    a: impl Iterator<Item = (&'a Place, T)>,
    b: impl Iterator<Item = (&'a Place, T)>,
) -> impl Iterator<Item = (&'a Place, T)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some((left, _)), Some((right, _))) if right < left => b.next(),
        (None, _) => b.next(),
        _ => a.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_in_the_order_of_paths() {
        let mut places = [("b", "a"), ("a", "b"), ("a-b", "z"), ("a", "a"), ("", "z")].map(|(namespace, name)| Place::new(namespace, name));
        places.sort();
        let texts = places.each_ref().map(|place| format!("{}/{}", place.namespace, place.name));
        assert_eq!(texts, ["/z", "a-b/z", "a/a", "a/b", "b/a"]);
        let (one, two) = places.split_at(2);
        assert!(merged(two.iter().map(|p| (p, ())), one.iter().map(|p| (p, ()))).map(|(place, ())| place).eq(places.iter()));
    }
}
