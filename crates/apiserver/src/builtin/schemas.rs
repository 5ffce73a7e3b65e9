//! Schemas of the built-in kinds, from k8s-openapi.

use std::{collections::HashMap, sync::OnceLock};

use k8s_openapi::{
    api::{apps, authentication, authorization, autoscaling, batch, coordination, core, discovery, events, rbac},
    apiextensions_apiserver::pkg::apis::apiextensions,
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, ObjectMeta, Status},
    schemars::{JsonSchema, SchemaGenerator},
};
use serde_json::{Map, Value};

use super::Builtin;
use crate::schema::{Node, Parser, Structural};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Adds a type and what it refers to to a generator.
type Add = fn(&mut SchemaGenerator);

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// The kinds, by API group.
const KINDS: &[(&str, Add)] = &[
    ("", add::<core::v1::ConfigMap>),
    ("", add::<core::v1::Endpoints>),
    ("", add::<core::v1::Event>),
    ("", add::<core::v1::LimitRange>),
    ("", add::<core::v1::Namespace>),
    ("", add::<core::v1::Node>),
    ("", add::<core::v1::Pod>),
    ("", add::<core::v1::ResourceQuota>),
    ("", add::<core::v1::Secret>),
    ("", add::<core::v1::Service>),
    ("", add::<core::v1::ServiceAccount>),
    ("apps", add::<apps::v1::DaemonSet>),
    ("apps", add::<apps::v1::Deployment>),
    ("apps", add::<apps::v1::ReplicaSet>),
    ("apps", add::<apps::v1::StatefulSet>),
    ("authentication.k8s.io", add::<authentication::v1::SelfSubjectReview>),
    ("authorization.k8s.io", add::<authorization::v1::SelfSubjectAccessReview>),
    ("autoscaling", add::<autoscaling::v1::Scale>),
    ("events.k8s.io", add::<events::v1::Event>),
    ("batch", add::<batch::v1::Job>),
    ("rbac.authorization.k8s.io", add::<rbac::v1::ClusterRole>),
    ("rbac.authorization.k8s.io", add::<rbac::v1::ClusterRoleBinding>),
    ("rbac.authorization.k8s.io", add::<rbac::v1::Role>),
    ("rbac.authorization.k8s.io", add::<rbac::v1::RoleBinding>),
    ("apiextensions.k8s.io", add::<apiextensions::v1::CustomResourceDefinition>),
    ("coordination.k8s.io", add::<coordination::v1::Lease>),
    ("discovery.k8s.io", add::<discovery::v1::EndpointSlice>),
];

/// What every document refers to.
const META: &[Add] = &[add::<DeleteOptions>, add::<ListMeta>, add::<ObjectMeta>, add::<Status>];

/// The definitions that the kinds of some groups need, by their full names, with descriptions.
pub(crate) fn definitions(wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    let mut generator = SchemaGenerator::default();
    for (_, add) in KINDS.iter().filter(|(group, _)| wanted(group)) {
        add(&mut generator);
    }
    for add in META {
        add(&mut generator);
    }
    let mut definitions = generator.take_definitions(false);
    super::merging::annotate(&mut definitions);
    definitions
}

#[derive(Debug)]
struct Schemas {
    kinds: HashMap<&'static str, Structural>,
    object_meta: Structural,
}

/// Parsed once, all together: the kinds share most of their nodes.
fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let definitions = definitions(|_| true);
        let mut parser = Parser::with_definitions(&definitions);
        let mut parse = |name: &str| Structural { root: parser.root(name).expect("k8s-openapi's schemas are structural") };
        let kinds = super::all().iter().map(|kind| (kind.definition, parse(kind.definition))).collect();
        Schemas { kinds, object_meta: parse(OBJECT_META) }
    })
}

/// The schema of one kind.
pub(super) fn of(kind: &Builtin) -> &'static Structural {
    schemas().kinds.get(kind.definition).expect("every kind of the list has a schema, or the tests fail")
}

/// The schema of `metadata`.
pub(crate) fn object_meta() -> &'static Node {
    &schemas().object_meta.root
}
