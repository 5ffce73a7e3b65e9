//! The cells that one connection counts in beside its own.

/// So many are looked through one by one; more are bits: what is looked for is then found in one step, however many routes a connection
/// visits, and costs an eighth of a byte and not eight.
const FEW: usize = 16;

/// A set of cells' numbers.
#[derive(Debug)]
pub(crate) enum Set {
    Few(Vec<usize>),
    /// Bit `n` is cell `n`.
    Many(Vec<u64>),
}

/// The word of a bit, and the bit in it.
fn place(index: usize) -> (usize, u64) {
    (index / 64, 1 << (index % 64))
}

impl Set {
    /// Room for one.
    pub(crate) fn new() -> Self {
        Self::Few(Vec::with_capacity(1))
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        match self {
            Self::Few(few) => few.contains(&index),
            Self::Many(words) => {
                let (word, bit) = place(index);
                words.get(word).is_some_and(|word| word & bit != 0)
            }
        }
    }

    /// Adds one that is not in it.
    pub(crate) fn insert(&mut self, index: usize) {
        debug_assert!(!self.contains(index), "{index} is in it");
        match self {
            Self::Few(few) if few.len() < FEW => few.push(index),
            Self::Few(few) => {
                let few = std::mem::take(few);
                let mut many = Self::Many(Vec::new());
                few.into_iter().chain([index]).for_each(|index| many.insert(index));
                *self = many;
            }
            Self::Many(words) => {
                let (word, bit) = place(index);
                if words.len() <= word {
                    words.resize(word + 1, 0);
                }
                if let Some(word) = words.get_mut(word) {
                    *word |= bit;
                }
            }
        }
    }

    /// All of it, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let (few, many): (&[usize], &[u64]) = match self {
            Self::Few(few) => (few, &[]),
            Self::Many(words) => (&[], words),
        };
        let bits = |(at, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit)
        };
        few.iter().copied().chain(many.iter().enumerate().flat_map(bits))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_holds_what_was_put_in_however_many_they_are() {
        for count in [0, 1, FEW, FEW + 1, 1000] {
            let (mut set, mut expected) = (Set::new(), BTreeSet::new());
            // In an order that goes up and down, with gaps.
            for index in (0..count).map(|n| (n * 7919) % 10_007) {
                assert!(!set.contains(index));
                set.insert(index);
                expected.insert(index);
            }
            assert_eq!(set.iter().count(), count);
            assert_eq!(set.iter().collect::<BTreeSet<_>>(), expected);
            assert!((0..10_100).all(|index| set.contains(index) == expected.contains(&index)));
        }
    }
}
