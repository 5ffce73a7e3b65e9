//! Values by a small number, in a list whose copies share most of it.

use std::sync::Arc;

/// How many values a chunk has.
const CHUNK: usize = 64;

/// A chunk's values; what has none is empty.
type Chunk<T> = Vec<Option<Arc<T>>>;

/// A value for each rule of a [`crate::Table`], by [`crate::Matched::id`]. A copy shares all values, and a change of one costs little however
/// many there are.
#[derive(Debug)]
pub struct Slots<T> {
    chunks: Vec<Arc<Chunk<T>>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone() }
    }
}

impl<T> Slots<T> {
    /// The value of rule `id`.
    #[inline]
    pub fn get(&self, id: usize) -> Option<&Arc<T>> {
        self.chunks.get(id / CHUNK)?.get(id % CHUNK)?.as_ref()
    }

    /// Sets the value of rule `id`, or takes it away.
    pub fn set(&mut self, id: usize, value: Option<Arc<T>>) {
        while self.chunks.len() <= id / CHUNK {
            self.chunks.push(Arc::default());
        }
        let Some(chunk) = self.chunks.get_mut(id / CHUNK).map(Arc::make_mut) else { return };
        if chunk.len() <= id % CHUNK {
            chunk.resize(id % CHUNK + 1, None);
        }
        if let Some(place) = chunk.get_mut(id % CHUNK) {
            *place = value;
        }
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_what_is_not_changed() {
        let mut slots = Slots::default();
        for id in 0..1000 {
            slots.set(id, Some(Arc::new(id)));
        }
        let before = slots.clone();
        slots.set(500, None);
        slots.set(2000, Some(Arc::new(7)));
        assert_eq!((slots.get(500), slots.get(1999), slots.get(3000)), (None, None, None));
        assert_eq!((slots.get(2000).map(|it| **it), before.get(500).map(|it| **it)), (Some(7), Some(500)));
        assert_eq!((slots.iter().count(), before.iter().count()), (1000, 1000));
        let copied = slots.chunks.iter().zip(&before.chunks).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 1);
    }
}
