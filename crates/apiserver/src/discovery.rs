//! Discovery: which groups, versions and resources there are, aggregated (`APIGroupDiscoveryList`) and plain.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

use crate::registry::Resource;

/// Verbs of every resource, in the order that `kubectl api-resources -o wide` prints.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// Virtual resources that are only posted to.
#[derive(Debug)]
pub(crate) struct Review {
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
}

const fn review(plural: &'static str, kind: &'static str) -> Review {
    Review { plural, kind, namespaced: false }
}

/// The groups of reviews, in version v1.
pub(crate) const REVIEWS: [(&str, &[Review]); 2] = [
    (
        "authorization.k8s.io",
        &[
            Review { plural: "localsubjectaccessreviews", kind: "LocalSubjectAccessReview", namespaced: true },
            review("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            review("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
            review("subjectaccessreviews", "SubjectAccessReview"),
        ],
    ),
    ("authentication.k8s.io", &[review("selfsubjectreviews", "SelfSubjectReview")]),
];

/// The documents of one set of resources, made once.
#[derive(Debug)]
pub(crate) struct Discovery {
    core: Value,
    groups: Value,
    core_etag: String,
    groups_etag: String,
    /// `APIGroupList`.
    pub(crate) group_list: Value,
}

/// Which of the two aggregated documents.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Half {
    /// `/api`
    Core,
    /// `/apis`
    Groups,
}

impl Discovery {
    pub(crate) fn new(resources: &[Arc<Resource>]) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for resource in resources {
            if !resource.group.is_empty() && !names.contains(&resource.group.as_str()) {
                names.push(&resource.group);
            }
        }
        let core = json!([group_item("", resources)]);
        let mut groups: Vec<Value> = names.iter().map(|group| group_item(group, resources)).collect();
        groups.extend(REVIEWS.iter().map(review_item));
        let groups = Value::Array(groups);
        let mut list: Vec<Value> = names.iter().map(|group| plain_group(group, &versions(group, resources))).collect();
        list.extend(REVIEWS.iter().map(|(group, ..)| plain_group(group, &["v1"])));
        Self {
            core_etag: etag(&core),
            groups_etag: etag(&groups),
            core,
            groups,
            group_list: json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list}),
        }
    }

    /// The aggregated document in `v2` or `v2beta1`, and its ETag.
    pub(crate) fn aggregated(&self, half: Half, version: &str) -> (Value, &str) {
        let (items, etag) = match half {
            Half::Core => (&self.core, &self.core_etag),
            Half::Groups => (&self.groups, &self.groups_etag),
        };
        let document = json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items});
        (document, etag)
    }

    /// The plain `APIGroup` of `/apis/GROUP`.
    pub(crate) fn group(&self, name: &str) -> Option<Value> {
        let groups = self.group_list.get("groups")?.as_array()?;
        let group = groups.iter().find(|g| g.get("name").and_then(Value::as_str) == Some(name))?;
        let mut found = json!({"kind": "APIGroup", "apiVersion": "v1"});
        if let (Some(found), Some(group)) = (found.as_object_mut(), group.as_object()) {
            found.extend(group.clone());
        }
        Some(found)
    }
}

fn etag(value: &Value) -> String {
    format!("\"{}\"", hex::encode_upper(Sha256::digest(value.to_string().as_bytes())))
}

/// Versions of a group as clients should prefer them: stable before beta before alpha, newer first.
fn versions<'a>(group: &str, resources: &'a [Arc<Resource>]) -> Vec<&'a str> {
    let mut versions: Vec<&str> = Vec::new();
    for resource in resources.iter().filter(|r| r.group == group) {
        if !versions.contains(&resource.version.as_str()) {
            versions.push(&resource.version);
        }
    }
    versions.sort_by_key(|v| std::cmp::Reverse(rank(v)));
    versions
}

/// `v2` > `v1` > `v1beta2` > `v1beta1` > `v1alpha1` > anything else.
pub(crate) fn rank(version: &str) -> (u8, u64, u64) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let split = |word: &str| rest.split_once(word).and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    if let Ok(major) = rest.parse() {
        (3, major, 0)
    } else if let Some((major, minor)) = split("beta") {
        (2, major, minor)
    } else if let Some((major, minor)) = split("alpha") {
        (1, major, minor)
    } else {
        (0, 0, 0)
    }
}

fn group_item(group: &str, resources: &[Arc<Resource>]) -> Value {
    let versions: Vec<Value> = versions(group, resources)
        .into_iter()
        .map(|version| {
            let list: Vec<Value> =
                resources.iter().filter(|r| r.group == group && r.version == version).map(|r| aggregated_resource(r)).collect();
            json!({"version": version, "resources": list, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    json!({"metadata": metadata, "versions": versions})
}

fn review_item((group, reviews): &(&str, &[Review])) -> Value {
    let resource = |review: &Review| {
        json!({
            "resource": review.plural, "responseKind": {"group": "", "version": "", "kind": review.kind},
            "scope": if review.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": review.kind.to_lowercase(), "verbs": ["create"],
        })
    };
    let resources: Vec<Value> = reviews.iter().map(resource).collect();
    json!({"metadata": {"name": group}, "versions": [{"version": "v1", "resources": resources, "freshness": "Current"}]})
}

fn aggregated_resource(resource: &Resource) -> Value {
    // Built-in kinds leave group and version of their own kind empty, as kube-apiserver does.
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let own = if resource.is_custom() { kind(&resource.group, &resource.version, &resource.kind) } else { kind("", "", &resource.kind) };
    let mut item = Map::new();
    item.insert("resource".to_owned(), Value::from(resource.plural.as_str()));
    item.insert("responseKind".to_owned(), own.clone());
    item.insert("scope".to_owned(), Value::from(if resource.namespaced { "Namespaced" } else { "Cluster" }));
    item.insert("singularResource".to_owned(), Value::from(resource.singular.as_str()));
    item.insert("verbs".to_owned(), Value::from(verbs(resource)));
    if !resource.short_names.is_empty() {
        item.insert("shortNames".to_owned(), Value::from(resource.short_names.clone()));
    }
    if !resource.categories.is_empty() {
        item.insert("categories".to_owned(), Value::from(resource.categories.clone()));
    }
    let mut subresources = Vec::new();
    if resource.is("", "pods") {
        subresources.push(json!({"subresource": "binding", "responseKind": kind("", "", "Binding"), "verbs": ["create"]}));
    }
    if resource.has_log {
        subresources.push(json!({"subresource": "log", "responseKind": own, "verbs": ["get"]}));
    }
    if resource.scale.is_some() {
        let scale = kind("autoscaling", "v1", "Scale");
        subresources.push(json!({"subresource": "scale", "responseKind": scale, "verbs": ["get", "patch", "update"]}));
    }
    if resource.has_status {
        subresources.push(json!({"subresource": "status", "responseKind": own, "verbs": ["get", "patch", "update"]}));
    }
    if !subresources.is_empty() {
        item.insert("subresources".to_owned(), Value::Array(subresources));
    }
    Value::Object(item)
}

fn verbs(resource: &Resource) -> Vec<&'static str> {
    VERBS.into_iter().filter(|verb| *verb != "deletecollection" || !resource.is("", "namespaces")).collect()
}

/// By which clients see that objects are kept in another version than before.
fn storage_version_hash(resource: &Resource) -> String {
    use base64::Engine as _;
    let stored = format!("{}/{}", resource.stored_as, resource.kind);
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(stored.as_bytes())[..8])
}

fn plain_group(group: &str, versions: &[&str]) -> Value {
    let list: Vec<Value> = versions.iter().map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v})).collect();
    let preferred = list.first().cloned().unwrap_or(Value::Null);
    json!({"name": group, "versions": list, "preferredVersion": preferred})
}

/// The plain `APIVersions` of `/api`.
pub(crate) fn core_versions(address: &str) -> Value {
    let servers = json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]);
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": servers})
}

/// The plain `APIResourceList` of `/api/v1` or `/apis/G/V`; nothing when the group version is not served.
pub(crate) fn resource_list(group: &str, version: &str, resources: &[Arc<Resource>]) -> Option<Value> {
    let mut list: Vec<Value> =
        resources.iter().filter(|r| r.group == group && r.version == version).flat_map(|r| plain_resource(r)).collect();
    for review in REVIEWS.iter().filter(|(own, _)| *own == group && version == "v1").flat_map(|(_, reviews)| *reviews) {
        let Review { plural, kind, namespaced } = review;
        list.push(
            json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind, "verbs": ["create"]}),
        );
    }
    if list.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}))
}

fn plain_resource(resource: &Resource) -> Vec<Value> {
    let mut verbs = verbs(resource);
    if !resource.is_custom() {
        verbs.sort_unstable();
    }
    let mut main = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs,
        "storageVersionHash": storage_version_hash(resource),
    });
    if let Some(main) = main.as_object_mut() {
        if !resource.short_names.is_empty() {
            main.insert("shortNames".to_owned(), Value::from(resource.short_names.clone()));
        }
        if !resource.categories.is_empty() {
            main.insert("categories".to_owned(), Value::from(resource.categories.clone()));
        }
    }
    let mut list = vec![main];
    let sub = |name: &str, verbs: Value| json!({"name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs});
    if resource.is("", "pods") {
        let mut binding = sub("binding", json!(["create"]));
        crate::object::set_or_remove(&mut binding, "kind", Some(&Value::from("Binding")));
        list.push(binding);
    }
    if resource.has_log {
        list.push(sub("log", json!(["get"])));
    }
    if resource.scale.is_some() {
        let mut scale = sub("scale", json!(["get", "patch", "update"]));
        for (key, value) in [("group", "autoscaling"), ("version", "v1"), ("kind", "Scale")] {
            crate::object::set_or_remove(&mut scale, key, Some(&Value::from(value)));
        }
        list.push(scale);
    }
    if resource.has_status {
        list.push(sub("status", json!(["get", "patch", "update"])));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn stable_versions_come_first() {
        let mut versions = ["v1alpha1", "v2", "v1beta2", "v10", "v1", "v1beta1", "x"];
        versions.sort_by_key(|v| std::cmp::Reverse(rank(v)));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "x"]);
    }
}
