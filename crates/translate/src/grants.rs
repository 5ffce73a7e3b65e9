//! ReferenceGrants: who may refer into another namespace.

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
    specs.any(|spec| {
        let from_fits = spec.from.iter().any(|it| it.namespace == from.namespace && it.group == from.group && it.kind == from.kind);
        let name_fits = |name: Option<&str>| matches!(name, None | Some("")) || name == Some(to.name);
        from_fits && spec.to.iter().any(|it| it.group == to.group && it.kind == to.kind && name_fits(it.name.as_deref()))
    })
}
