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

/// All definitions, by their full names, with descriptions. Made anew: only OpenAPI documents need the text, and they are kept.
pub(crate) fn definitions() -> Map<String, Value> {
    fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
        generator.subschema_for::<T>();
    }
    let adds: &[fn(&mut SchemaGenerator)] = &[
        add::<core::v1::ConfigMap>,
        add::<core::v1::Endpoints>,
        add::<core::v1::Event>,
        add::<core::v1::Namespace>,
        add::<core::v1::Node>,
        add::<core::v1::Pod>,
        add::<core::v1::Secret>,
        add::<core::v1::Service>,
        add::<core::v1::ServiceAccount>,
        add::<apps::v1::DaemonSet>,
        add::<apps::v1::Deployment>,
        add::<apps::v1::ReplicaSet>,
        add::<apps::v1::StatefulSet>,
        add::<authentication::v1::SelfSubjectReview>,
        add::<authorization::v1::SelfSubjectAccessReview>,
        add::<autoscaling::v1::Scale>,
        add::<events::v1::Event>,
        add::<batch::v1::Job>,
        add::<rbac::v1::ClusterRole>,
        add::<rbac::v1::ClusterRoleBinding>,
        add::<rbac::v1::Role>,
        add::<rbac::v1::RoleBinding>,
        add::<apiextensions::v1::CustomResourceDefinition>,
        add::<coordination::v1::Lease>,
        add::<discovery::v1::EndpointSlice>,
        add::<DeleteOptions>,
        add::<ListMeta>,
        add::<ObjectMeta>,
        add::<Status>,
    ];
    let mut generator = SchemaGenerator::default();
    for add in adds {
        add(&mut generator);
    }
    generator.take_definitions(false)
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
        let definitions = definitions();
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
