//! Rows that tell whether they are as they were written.
//!
//! redb checks its pages when it opens a file, and trusts what it reads after that: a page that was damaged under a running process may be
//! read, changed in one row and written with a good checksum. So each row carries a sum of its own, and the numbers carry the sum of all
//! sums, which tells of rows that are missing or old.

/// Bytes before the JSON.
const SUM: usize = size_of::<u64>();

/// The sum of a row: 64-bit FNV-1a, which tells apart any two rows that differ in one byte.
fn sum(key: &str, json: &[u8]) -> u64 {
    let bytes = key.bytes().chain([0]).chain(json.iter().copied());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A row to write, and its sum.
pub(super) fn seal(key: &str, json: &[u8]) -> (Vec<u8>, u64) {
    let sum = sum(key, json);
    let mut row = Vec::with_capacity(SUM + json.len());
    row.extend(sum.to_le_bytes());
    row.extend(json);
    (row, sum)
}

/// The JSON in a row, and its sum. `None`: it is not as it was written.
pub(super) fn unseal<'a>(key: &str, row: &'a [u8]) -> Option<(&'a [u8], u64)> {
    let (said, json) = row.split_first_chunk()?;
    let sum = sum(key, json);
    (u64::from_le_bytes(*said) == sum).then_some((json, sum))
}
