//! A sorted map whose copies share what they have in common.
//!
//! The entries lie in chunks of at most [`MOST`]; a copy takes references to the chunks, and a change copies one chunk:
//!
//! ```text
//!   map ──► [ a..f ] [ g..m ] [ n..z ]
//!               ▲        ▲
//!   copy ──► ───┘        │    [ n..zz ]      after copy.insert(zz)
//!            ────────────┘
//! ```
//!
//! So copying a map of 10,000 entries and changing one costs some 200 references and 64 entries, and what differs between the two is found
//! by looking at the chunks that they do not share.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

/// The most entries of a chunk.
const MOST: usize = 64;
/// How many a chunk gets when the whole map is made at once: some room for what comes later.
const FILL: usize = 48;

/// A sorted map that is cheap to copy and to compare with a copy of it.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    /// In ascending order; none is empty.
    chunks: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

/// All entries of a [`SharedMap`], by key.
pub type MapIter<'a, K, V> = std::iter::Map<Entries<'a, K, V>, fn(&'a (K, V)) -> (&'a K, &'a V)>;
type Entries<'a, K, V> = std::iter::FlatMap<
    std::slice::Iter<'a, Arc<Vec<(K, V)>>>,
    std::slice::Iter<'a, (K, V)>,
    fn(&'a Arc<Vec<(K, V)>>) -> std::slice::Iter<'a, (K, V)>,
>;

/// How one key differs between two maps: the value before and the value after.
pub type Change<'a, K, V> = (&'a K, Option<&'a V>, Option<&'a V>);

impl<K, V> SharedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries, by key.
    pub fn iter(&self) -> MapIter<'_, K, V> {
        let entries: Entries<'_, K, V> = self.chunks.iter().flat_map(|chunk| chunk.iter());
        entries.map(|(key, value)| (key, value))
    }

    /// All keys in ascending order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        *self = Self::new();
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = chunk.binary_search_by(|(it, _)| it.borrow().cmp(key)).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// Whether there is an entry for `key`.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The chunk that holds `key`, or would.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let begins_before = |chunk: &Arc<Vec<(K, V)>>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        self.chunks.partition_point(begins_before).saturating_sub(1)
    }

    /// The entries that `next` has and `self` has not, or the other way round, or with another value; by key. The time it takes grows with
    /// what the two do not share.
    pub fn changes<'a>(&'a self, next: &'a Self) -> impl Iterator<Item = Change<'a, K, V>>
    where
        V: PartialEq,
    {
        let (mut before, mut after) = (Cursor::new(self), Cursor::new(next));
        std::iter::from_fn(move || {
            loop {
                before.skip_shared(&mut after);
                let order = match (before.entry(), after.entry()) {
                    (None, None) => return None,
                    (Some(_), None) => std::cmp::Ordering::Less,
                    (None, Some(_)) => std::cmp::Ordering::Greater,
                    (Some((old, _)), Some((new, _))) => old.cmp(new),
                };
                let old = if order.is_le() { before.take() } else { None };
                let new = if order.is_ge() { after.take() } else { None };
                let (key, _) = old.or(new)?;
                let (old, new) = (old.map(|(_, value)| value), new.map(|(_, value)| value));
                if old != new {
                    return Some((key, old, new));
                }
            }
        })
    }
}

impl<K: Clone, V: Clone> SharedMap<K, V> {
    /// All values, by key, to be changed. What other maps share of them is copied.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.chunks.iter_mut().flat_map(Arc::make_mut).map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Adds or replaces an entry; gives the value that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let place = self.chunk_of(&key);
        let Some(chunk) = self.chunks.get_mut(place) else {
            self.chunks.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return None;
        };
        let chunk = Arc::make_mut(chunk);
        match chunk.binary_search_by(|(it, _)| it.cmp(&key)) {
            Ok(at) => chunk.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                chunk.insert(at, (key, value));
                self.len += 1;
                if chunk.len() > MOST {
                    // What comes in order fills the last chunk: that one is left nearly full.
                    let half = if at == MOST { FILL } else { MOST / 2 };
                    let rest = chunk.split_off(half);
                    self.chunks.insert(place + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// Takes an entry away; gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.chunk_of(key);
        let chunk = self.chunks.get_mut(place)?;
        let at = chunk.binary_search_by(|(it, _)| it.borrow().cmp(key)).ok()?;
        let chunk = Arc::make_mut(chunk);
        let (_, value) = chunk.remove(at);
        self.len -= 1;
        let left = chunk.len();
        if left == 0 {
            self.chunks.remove(place);
        } else if left < MOST / 4 {
            self.merge(place);
            self.merge(place.saturating_sub(1));
        }
        Some(value)
    }

    /// Joins a small chunk with the one after it, if both fit into one.
    fn merge(&mut self, place: usize) {
        if let Some([chunk, next]) = self.chunks.get_mut(place..).and_then(|it| it.first_chunk_mut())
            && chunk.len() + next.len() <= FILL
        {
            Arc::make_mut(chunk).extend(next.iter().cloned());
            self.chunks.remove(place + 1);
        }
    }
}

/// A place in a map.
struct Cursor<'a, K, V> {
    map: &'a SharedMap<K, V>,
    chunk: usize,
    at: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn new(map: &'a SharedMap<K, V>) -> Self {
        Self { map, chunk: 0, at: 0 }
    }

    fn entry(&self) -> Option<&'a (K, V)> {
        self.map.chunks.get(self.chunk)?.get(self.at)
    }

    fn take(&mut self) -> Option<&'a (K, V)> {
        let entry = self.entry()?;
        self.at += 1;
        if self.map.chunks.get(self.chunk).is_some_and(|chunk| self.at == chunk.len()) {
            (self.chunk, self.at) = (self.chunk + 1, 0);
        }
        Some(entry)
    }

    /// Passes over chunks that both maps have next.
    fn skip_shared(&mut self, other: &mut Self) {
        while self.at == 0
            && other.at == 0
            && let (Some(ours), Some(theirs)) = (self.map.chunks.get(self.chunk), other.map.chunks.get(other.chunk))
            && Arc::ptr_eq(ours, theirs)
        {
            self.chunk += 1;
            other.chunk += 1;
        }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changes(other).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for SharedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The last of several entries with one key stays.
impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<'a, K, V> IntoIterator for &'a SharedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = MapIter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord, V> Index<&K> for SharedMap<K, V> {
    type Output = V;

    /// # Panics
    /// There is no entry for `key`.
    fn index(&self, key: &K) -> &V {
        self.get(key).expect("there is an entry for the key")
    }
}

#[cfg(test)]
mod tests;
