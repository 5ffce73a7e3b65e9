//! Words from closed sets.

/// What is said of a word that is none of them.
pub(super) fn unknown(field: &str, word: &str, words: &[&str]) -> String {
    format!("{field} {word} is not supported, must be one of [{}]", words.join(" "))
}
