//! Label and field selectors.

mod field;
mod label;

pub(crate) use field::FieldSelector;
pub(crate) use label::LabelSelector;

use crate::registry::Resource;
use crate::rest::Query;
use crate::status::ApiError;
use crate::store::Stored;

/// Which objects a list, a watch or a collection delete is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selector {
    pub(crate) fn from_query(query: &Query, resource: &Resource) -> Result<Self, ApiError> {
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default()).map_err(ApiError::bad_request)?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default(), resource).map_err(ApiError::bad_request)?;
        Ok(Self { labels, fields })
    }

    /// Whether it matches everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object as it is kept is selected; of its text only as much is read as that takes.
    pub(crate) fn matches(&self, object: &Stored) -> bool {
        if !self.fields.may_match(object.namespace(), object.name()) {
            return false;
        }
        match (self.fields.is_of_names(), self.labels.is_empty()) {
            (true, true) => true,
            (true, false) => self.labels.matches(&object.head()),
            (false, _) => {
                let object = object.value();
                self.labels.matches(&object) && self.fields.matches(&object)
            }
        }
    }
}

#[cfg(test)]
mod tests;
