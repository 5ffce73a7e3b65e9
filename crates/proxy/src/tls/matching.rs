//! Texts that match, ready to be asked.

use weir_model::StringMatch;

/// A [`StringMatch`] with its expression compiled.
#[derive(Debug)]
pub(super) enum Matcher {
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Regex(regex::bytes::Regex),
}

impl Matcher {
    pub(super) fn new(it: &StringMatch) -> Result<Self, weir_model::Invalid> {
        Ok(match it {
            StringMatch::Exact(text) => Self::Exact((&**text).into()),
            StringMatch::Prefix(text) => Self::Prefix((&**text).into()),
            StringMatch::Suffix(text) => Self::Suffix((&**text).into()),
            StringMatch::Regex(pattern) => Self::Regex(pattern.compile()?),
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(it) => **it == *text,
            Self::Prefix(it) => text.starts_with(&**it),
            Self::Suffix(it) => text.ends_with(&**it),
            Self::Regex(it) => it.is_match(text.as_bytes()),
        }
    }

    /// As [`Self::matches`], for a DNS name in a certificate: one with a wildcard is every name that it covers.
    pub(super) fn matches_dns(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        if self.matches(&name) {
            return true;
        }
        match (self, name.strip_prefix('*')) {
            (Self::Exact(wanted), Some(parent)) => {
                wanted.to_ascii_lowercase().strip_suffix(parent).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            (Self::Exact(wanted), None) => wanted.eq_ignore_ascii_case(&name),
            _ => false,
        }
    }
}
