//! Texts that a client's mistakes make: not more of them than anybody will read. A body of a few megabytes has room for one field with a
//! long name and a great many below it, whose paths would take hundreds of gigabytes.

/// Most texts that are kept.
const MOST: usize = 1_000;
/// Bytes of texts from which on no more are kept.
const LARGEST: usize = 256 * 1024;

/// Counts what is told.
#[derive(Debug, Default)]
pub(crate) struct Room {
    count: usize,
    bytes: usize,
}

impl Room {
    /// Whether one more may be told.
    pub(crate) fn is_left(&self) -> bool {
        self.count < MOST && self.bytes < LARGEST
    }

    /// One more was told.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// The first of some texts, in order.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    list: Vec<String>,
    room: Room,
}

impl Texts {
    /// Keeps one more, unless there are enough.
    pub(crate) fn push(&mut self, text: impl FnOnce() -> String) {
        if !self.room.is_left() {
            return;
        }
        let text = text();
        self.room.take(text.len());
        self.list.push(text);
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_end_to_what_is_told() {
        let (mut many, mut long) = (Texts::default(), Texts::default());
        for index in 0..2_000 {
            many.push(|| index.to_string());
            long.push(|| "x".repeat(100_000));
        }
        let many = many.into_vec();
        assert_eq!((many.len(), many.last().map(String::as_str)), (1_000, Some("999")));
        assert_eq!(long.into_vec().len(), 3);
    }
}
