//! Label selectors.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Chooses objects by their labels. All parts must hold; an empty selector chooses everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be there with exactly these values.
    pub match_labels: BTreeMap<String, String>,
    /// Further demands on labels.
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One demand on a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct LabelSelectorRequirement {
    /// The label's key.
    pub key: String,
    /// How values are compared: In, NotIn, Exists or DoesNotExist.
    pub operator: String,
    /// The values of In and NotIn; empty for Exists and DoesNotExist.
    #[serde(default)]
    pub values: Vec<String>,
}
