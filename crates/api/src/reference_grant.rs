//! ReferenceGrant: lets objects of other namespaces refer to objects of this one.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::Object;

/// A ReferenceGrant object.
pub type ReferenceGrant = Object<ReferenceGrantSpec>;

/// Every object described by an entry of from may refer to every object of this namespace described by an entry of to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantSpec {
    /// Who may refer: kinds in namespaces. One fitting entry is enough.
    pub from: Vec<ReferenceGrantFrom>,
    /// What may be referred to, in the grant's own namespace. One fitting entry is enough.
    pub to: Vec<ReferenceGrantTo>,
}

/// The referrers that are trusted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantFrom {
    /// API group of the referrer; empty for the core group.
    pub group: String,
    /// Kind of the referrer, such as HTTPRoute.
    pub kind: String,
    /// Namespace of the referrer.
    pub namespace: String,
}

/// The objects that may be referred to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantTo {
    /// API group of the object; empty for the core group.
    pub group: String,
    /// Kind of the object, such as Service or Secret.
    pub kind: String,
    /// Name of the object. Default: every object of the kind in this namespace.
    pub name: Option<String>,
}
