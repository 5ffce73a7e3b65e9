//! ReferenceGrants: who may refer into another namespace.

use weir_api::reference_grant::{ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo};

use crate::resources::Resources;

/// Who refers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
}

/// What is referred to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct To<'a> {
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// Whether any grant in the namespace that is referred to allows it.
pub(crate) fn permitted(resources: &Resources, from: &From<'_>, to: &To<'_>) -> bool {
    let grants = resources.reference_grants.iter().filter(|(name, _)| *name.namespace == *to.namespace);
    let mut specs = grants.map(|(_, grant)| &grant.object.spec);
    specs.any(|ReferenceGrantSpec { from: froms, to: tos }| {
        froms.iter().any(|it| from_fits(it, from)) && tos.iter().any(|it| to_fits(it, to))
    })
}

fn from_fits(granted: &ReferenceGrantFrom, from: &From<'_>) -> bool {
    let ReferenceGrantFrom { group, kind, namespace } = granted;
    group == from.group && kind == from.kind && namespace == from.namespace
}

fn to_fits(granted: &ReferenceGrantTo, to: &To<'_>) -> bool {
    let ReferenceGrantTo { group, kind, name } = granted;
    group == to.group && kind == to.kind && name.as_deref().is_none_or(|name| name.is_empty() || name == to.name)
}
