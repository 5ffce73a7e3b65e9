//! The CustomResourceDefinitions of the kinds that Weir serves.
//!
//! A definition is put together from three sources: the facts in `schema/*.yaml`, the shapes that several kinds share in
//! `schema/shapes.yaml`, and the descriptions, which are the doc comments of the Rust types.

mod describe;
mod shapes;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::reference::GATEWAY_GROUP;
use shapes::Shapes;

/// The release of Gateway API whose schemas these are.
pub const GATEWAY_API_VERSION: &str = "v1.6.3";
/// The channel of that release.
pub const GATEWAY_API_CHANNEL: &str = "experimental";

/// One kind: its facts, and the type of its spec.
struct Definition {
    facts: &'static str,
    spec: fn() -> Schema,
}

const DEFINITIONS: [Definition; 7] = [
    Definition { facts: include_str!("../schema/gateway_class.yaml"), spec: types::<crate::gateway_class::GatewayClassSpec> },
    Definition { facts: include_str!("../schema/gateway.yaml"), spec: types::<crate::gateway::GatewaySpec> },
    Definition { facts: include_str!("../schema/http_route.yaml"), spec: types::<crate::http_route::HttpRouteSpec> },
    Definition { facts: include_str!("../schema/reference_grant.yaml"), spec: types::<crate::reference_grant::ReferenceGrantSpec> },
    Definition { facts: include_str!("../schema/backend.yaml"), spec: types::<crate::backend::BackendSpec> },
    Definition {
        facts: include_str!("../schema/client_traffic_policy.yaml"),
        spec: types::<crate::client_traffic_policy::ClientTrafficPolicySpec>,
    },
    Definition { facts: include_str!("../schema/envoy_proxy.yaml"), spec: types::<crate::envoy_proxy::EnvoyProxySpec> },
];

/// What a file of `schema/` says about a kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Facts {
    kind: String,
    plural: String,
    group: String,
    scope: String,
    #[serde(default)]
    short_names: Vec<String>,
    categories: Vec<String>,
    /// Served versions; all have the same schema, so that no conversion is needed.
    versions: Vec<String>,
    /// The version that is stored.
    storage: String,
    columns: Vec<Value>,
    description: String,
    spec: Value,
    /// Absent where the kind has no status.
    status: Option<Value>,
}

/// Every definition, as a complete `apiextensions.k8s.io/v1` object, always in the same order.
pub fn crds() -> Vec<Value> {
    let shapes = Shapes::load();
    DEFINITIONS.iter().map(|definition| definition.crd(&shapes)).collect()
}

/// Reads a file of `schema/`, which is part of the program.
fn embedded<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_saphyr::from_str(text).expect("the files of schema/ are well-formed: the tests read them all")
}

fn types<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator().into_root_schema_for::<T>()
}

impl Definition {
    fn crd(&self, shapes: &Shapes) -> Value {
        let facts: Facts = embedded(self.facts);
        let schema = self.schema(&facts, shapes);
        let versions: Vec<Value> = facts.versions.iter().map(|version| facts.version(version, &schema)).collect();
        let mut names = json!({
            "categories": facts.categories,
            "kind": facts.kind,
            "listKind": format!("{}List", facts.kind),
            "plural": facts.plural,
            "shortNames": facts.short_names,
            "singular": facts.kind.to_lowercase(),
        });
        if let Some(names) = names.as_object_mut().filter(|_| facts.short_names.is_empty()) {
            names.remove("shortNames");
        }
        let mut metadata = json!({ "name": format!("{}.{}", facts.plural, facts.group) });
        if facts.group == GATEWAY_GROUP {
            metadata["annotations"] = gateway_api_annotations();
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": { "group": facts.group, "names": names, "scope": facts.scope, "versions": versions },
        })
    }

    fn schema(&self, facts: &Facts, shapes: &Shapes) -> Value {
        let mut spec = shapes.expand(&facts.spec);
        describe::describe(&mut spec, (self.spec)().as_value());
        let mut schema = json!({
            "description": facts.description,
            "type": "object",
            "required": ["spec"],
            "properties": {
                "apiVersion": { "description": "Group and version of the kind, such as gateway.networking.k8s.io/v1.", "type": "string" },
                "kind": { "description": "Name of the kind.", "type": "string" },
                "metadata": { "type": "object" },
                "spec": spec,
            },
        });
        if let Some(status) = &facts.status {
            schema["properties"]["status"] = shapes.expand(status);
        }
        schema
    }
}

impl Facts {
    fn version(&self, name: &str, schema: &Value) -> Value {
        let subresources = if self.status.is_some() { json!({ "status": {} }) } else { json!({}) };
        let mut version = json!({
            "name": name,
            "served": true,
            "storage": name == self.storage,
            "schema": { "openAPIV3Schema": schema },
            "subresources": subresources,
        });
        if !self.columns.is_empty() {
            version["additionalPrinterColumns"] = json!(self.columns);
        }
        version
    }
}

/// The release that the schemas follow; and the approval without which a cluster refuses definitions in groups below k8s.io.
fn gateway_api_annotations() -> Value {
    json!({
        "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/4530",
        "gateway.networking.k8s.io/bundle-version": GATEWAY_API_VERSION,
        "gateway.networking.k8s.io/channel": GATEWAY_API_CHANNEL,
    })
}

#[cfg(test)]
mod tests;
