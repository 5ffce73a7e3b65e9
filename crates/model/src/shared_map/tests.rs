use std::collections::BTreeMap;

use super::*;

/// A small generator (SplitMix64): the same seed gives the same sequence everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn filled(count: u64) -> SharedMap<u64, u64> {
    (0..count).map(|key| (key, key)).collect()
}

/// What holds of every map.
fn check(map: &SharedMap<u64, u64>, like: &BTreeMap<u64, u64>) {
    assert!(map.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= MOST));
    assert!(map.iter().eq(like.iter()) && map.len() == like.len());
}

#[test]
fn it_is_a_sorted_map_and_tells_what_changed() {
    for seed in 0..10 {
        let mut random = Random(seed);
        let (mut map, mut like) = (SharedMap::new(), BTreeMap::new());
        let keys = 1 + random.below(600);
        for _ in 0..100 {
            let (before, like_before) = (map.clone(), like.clone());
            for _ in 0..random.below(40) {
                let (key, value) = (random.below(keys), random.below(3));
                if random.below(3) == 0 {
                    assert_eq!(map.remove(&key), like.remove(&key));
                } else {
                    assert_eq!(map.insert(key, value), like.insert(key, value));
                }
            }
            check(&map, &like);
            check(&before, &like_before);
            assert_eq!(map == before, like == like_before);
            let all: std::collections::BTreeSet<_> = like.keys().chain(like_before.keys()).collect();
            let expected = all.into_iter().map(|key| (key, like_before.get(key), like.get(key))).filter(|(_, old, new)| old != new);
            assert!(before.changes(&map).eq(expected), "seed {seed}");
        }
        assert!((0..keys).all(|key| map.get(&key) == like.get(&key)));
    }
}

#[test]
fn what_comes_in_order_lies_close() {
    let map = filled(10_000);
    assert!(map.chunks.len() <= 10_000 / FILL + 1, "{} chunks", map.chunks.len());
}

#[test]
fn a_change_of_one_of_many_copies_one_chunk() {
    let before = filled(10_000);
    let mut after = before.clone();
    after.insert(5_000, 0);
    after.remove(&9_999);
    let shared = after.chunks.iter().filter(|chunk| before.chunks.iter().any(|it| Arc::ptr_eq(it, chunk))).count();
    assert_eq!(shared, before.chunks.len() - 2);
    let changes: Vec<_> = before.changes(&after).collect();
    assert_eq!(changes, [(&5_000, Some(&5_000), Some(&0)), (&9_999, Some(&9_999), None)]);
}

#[test]
fn what_is_left_of_many_does_not_stay_spread() {
    let mut map = filled(10_000);
    for key in 0..10_000 {
        if key % 100 != 0 {
            map.remove(&key);
        }
    }
    assert!(map.len() == 100 && map.chunks.len() < 12, "{} chunks", map.chunks.len());
}
