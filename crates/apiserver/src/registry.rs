//! Which resources are served: the built-in kinds and those of the CRDs, by path and by shelf.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::builtin::{self, Builtin};
use crate::discovery::Discovery;
use crate::object::ObjectExt;
use crate::openapi::{self, Described, Document};
use crate::schema::Structural;
use crate::table::Layout;

/// The shelf of CustomResourceDefinitions.
pub(crate) const CRDS: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// The shelf of namespaces.
pub(crate) const NAMESPACES: &str = "/namespaces";

/// Paths into an object that its `/scale` reads and writes.
#[derive(Debug, Clone)]
pub(crate) struct ScalePaths {
    pub(crate) spec: Vec<String>,
    pub(crate) status: Vec<String>,
    pub(crate) selector: Option<Vec<String>>,
}

/// Where a resource's rules come from.
#[derive(Debug)]
pub(crate) enum Origin {
    Builtin(&'static Builtin),
    Custom(Structural),
}

/// One resource in one version.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    pub(crate) has_log: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) shelf: Arc<str>,
    /// The `apiVersion` under which objects are kept.
    pub(crate) stored_as: String,
    pub(crate) origin: Origin,
    pub(crate) layout: Layout,
    /// Extra fields that a field selector may name, as JSON paths without the leading dot.
    pub(crate) selectable: Vec<String>,
    /// What those who use this version are warned of.
    pub(crate) deprecation: Option<String>,
}

impl Resource {
    /// `deployments.apps`, `pods`: as error messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `apps/v1`, `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.origin, Origin::Custom(_))
    }

    pub(crate) fn builtin(&self) -> Option<&'static Builtin> {
        match self.origin {
            Origin::Builtin(builtin) => Some(builtin),
            Origin::Custom(_) => None,
        }
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    fn from_builtin(builtin: &'static Builtin) -> Self {
        let scale = builtin.subresources.contains(&"scale").then(|| ScalePaths {
            spec: path(".spec.replicas"),
            status: path(".status.replicas"),
            selector: None,
        });
        // Both event APIs show the same objects; they are kept as the core group's.
        let shelf = if builtin.group == "events.k8s.io" { "/events".to_owned() } else { format!("{}/{}", builtin.group, builtin.plural) };
        let stored_as = if builtin.group == "events.k8s.io" { "v1".to_owned() } else { builtin.api_version() };
        Self {
            group: builtin.group.to_owned(),
            version: builtin.version.to_owned(),
            kind: builtin.kind.to_owned(),
            list_kind: format!("{}List", builtin.kind),
            plural: builtin.plural.to_owned(),
            singular: builtin.singular.to_owned(),
            short_names: builtin.short_names.iter().map(|s| (*s).to_owned()).collect(),
            categories: builtin.categories.iter().map(|s| (*s).to_owned()).collect(),
            namespaced: builtin.namespaced,
            has_status: builtin.subresources.contains(&"status"),
            has_log: builtin.subresources.contains(&"log"),
            scale,
            shelf: shelf.into(),
            stored_as,
            origin: Origin::Builtin(builtin),
            layout: Layout::builtin(builtin),
            selectable: Vec::new(),
            deprecation: (builtin.group.is_empty() && builtin.plural == "endpoints")
                .then(|| "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()),
        }
    }

    /// The resources of a CRD, one per served version. The error is the path of the schema and what is wrong with it.
    pub(crate) fn from_crd(crd: &Value) -> Result<Vec<Self>, (String, String)> {
        let spec = crd.get("spec").unwrap_or(&Value::Null);
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let names = spec.get("names").unwrap_or(&Value::Null);
        let texts = |key: &str| -> Vec<String> {
            names.get(key).and_then(Value::as_array).map(|l| l.iter().map(text).collect()).unwrap_or_default()
        };
        let name = |key: &str| names.get(key).map(text).unwrap_or_default();
        let group = spec.get("group").map(text).unwrap_or_default();
        let versions = spec.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let storage = versions
            .iter()
            .find(|v| v.get("storage") == Some(&Value::Bool(true)))
            .and_then(|v| v.get("name"))
            .map(text)
            .unwrap_or_default();
        let mut resources = Vec::new();
        for (index, version) in versions.iter().enumerate() {
            let schema = version.pointer("/schema/openAPIV3Schema").unwrap_or(&Value::Null);
            let structural = Structural::from_json(schema).map_err(|e| (format!("spec.versions[{index}].schema.openAPIV3Schema"), e))?;
            if version.get("served") != Some(&Value::Bool(true)) {
                continue;
            }
            let kind = name("kind");
            let singular = name("singular");
            resources.push(Self {
                group: group.clone(),
                version: version.get("name").map(text).unwrap_or_default(),
                list_kind: Some(name("listKind")).filter(|k| !k.is_empty()).unwrap_or_else(|| format!("{kind}List")),
                plural: name("plural"),
                singular: if singular.is_empty() { kind.to_lowercase() } else { singular },
                kind,
                short_names: texts("shortNames"),
                categories: texts("categories"),
                namespaced: spec.get("scope").and_then(Value::as_str) == Some("Namespaced"),
                has_status: version.pointer("/subresources/status").is_some(),
                has_log: false,
                scale: version.pointer("/subresources/scale").map(scale_paths),
                shelf: format!("{group}/{}", name("plural")).into(),
                stored_as: format!("{group}/{storage}"),
                origin: Origin::Custom(structural),
                layout: Layout::crd(version),
                selectable: selectable(version),
                deprecation: deprecation(spec, version),
            });
        }
        Ok(resources)
    }
}

/// The warning of a version that a CRD calls deprecated. Its own words, or the next best version.
fn deprecation(spec: &Value, version: &Value) -> Option<String> {
    if version.get("deprecated") != Some(&Value::Bool(true)) {
        return None;
    }
    if let Some(own) = version.get("deprecationWarning").and_then(Value::as_str) {
        return Some(own.to_owned());
    }
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, kind) = (text("/group"), text("/names/kind"));
    let name = |version: &Value| version.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let served = |other: &&Value| other.get("served") == Some(&Value::Bool(true)) && other.get("deprecated") != Some(&Value::Bool(true));
    let others = spec.get("versions").and_then(Value::as_array).into_iter().flatten().filter(served);
    let better = others.map(name).max_by_key(|other| crate::discovery::rank(other));
    let better = better.map(|better| format!("; use {group}/{better} {kind}")).unwrap_or_default();
    Some(format!("{group}/{} {kind} is deprecated{better}", name(version)))
}

fn selectable(version: &Value) -> Vec<String> {
    let fields = version.get("selectableFields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    fields.iter().filter_map(|f| f.get("jsonPath")?.as_str()).map(|p| p.trim_start_matches('.').to_owned()).collect()
}

fn scale_paths(scale: &Value) -> ScalePaths {
    let of = |key: &str| scale.get(key).and_then(Value::as_str).map(path);
    ScalePaths {
        spec: of("specReplicasPath").unwrap_or_default(),
        status: of("statusReplicasPath").unwrap_or_default(),
        selector: of("labelSelectorPath"),
    }
}

fn path(text: &str) -> Vec<String> {
    text.split('.').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

/// A CRD and what was made of it; kept while its generation stands.
#[derive(Debug)]
struct Defined {
    uid: String,
    generation: i64,
    object: Arc<crate::store::Stored>,
    resources: Vec<Arc<Resource>>,
}

/// An immutable set of served resources.
#[derive(Debug)]
pub(crate) struct Registry {
    resources: Vec<Arc<Resource>>,
    by_path: HashMap<(String, String, String), Arc<Resource>>,
    defined: Vec<Arc<Defined>>,
    documents: OnceLock<BTreeMap<String, Document>>,
    swagger: OnceLock<Document>,
    discovery: OnceLock<Discovery>,
}

impl Registry {
    /// The built-in kinds and these CRDs; what `before` had made of unchanged CRDs is used again.
    pub(crate) fn new(crds: &[Arc<crate::store::Stored>], before: Option<&Self>) -> Self {
        let mut resources: Vec<Arc<Resource>> = match before {
            Some(before) => before.resources.iter().filter(|r| !r.is_custom()).cloned().collect(),
            None => builtin::all().iter().map(|b| Arc::new(Resource::from_builtin(b))).collect(),
        };
        let mut defined: Vec<Arc<Defined>> = crds.iter().filter_map(|crd| define(crd, before)).collect();
        defined.sort_by_key(|d| group_and_plural(d));
        resources.extend(defined.iter().flat_map(|d| d.resources.iter().cloned()));
        let by_path = resources.iter().map(|r| ((r.group.clone(), r.version.clone(), r.plural.clone()), Arc::clone(r))).collect();
        Self { resources, by_path, defined, documents: OnceLock::new(), swagger: OnceLock::new(), discovery: OnceLock::new() }
    }

    /// Everything served, in discovery order.
    pub(crate) fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// A resource (in any version) that keeps its objects on this shelf.
    pub(crate) fn by_shelf(&self, shelf: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|r| &*r.shelf == shelf)
    }

    pub(crate) fn discovery(&self) -> &Discovery {
        self.discovery.get_or_init(|| Discovery::new(&self.resources))
    }

    /// The one document of OpenAPI v2; made when first asked for.
    pub(crate) fn swagger(&self, version: &str) -> &Document {
        self.swagger.get_or_init(|| Document::new(&openapi::swagger(self.documents().values(), version)))
    }

    /// OpenAPI documents by path (`apis/apps/v1`); made when first asked for.
    pub(crate) fn documents(&self) -> &BTreeMap<String, Document> {
        self.documents.get_or_init(|| {
            let mut kinds: BTreeMap<(String, String), Vec<Described<'_>>> = BTreeMap::new();
            for builtin in self.resources.iter().filter_map(|r| r.builtin()) {
                kinds.entry((builtin.group.to_owned(), builtin.version.to_owned())).or_default().push(Described::Builtin(builtin));
            }
            let crds: Vec<Value> = self.defined.iter().map(|defined| defined.object.value()).collect();
            for (defined, crd) in self.defined.iter().zip(&crds) {
                for resource in &defined.resources {
                    let described = Described::Custom { crd, version: &resource.version };
                    kinds.entry((resource.group.clone(), resource.version.clone())).or_default().push(described);
                }
            }
            kinds
                .into_iter()
                .map(|((group, version), kinds)| {
                    (openapi::path(&group, &version), Document::new(&openapi::group_version(&group, &version, &kinds)))
                })
                .collect()
        })
    }
}

fn group_and_plural(defined: &Defined) -> (String, String) {
    defined.resources.first().map(|r| (r.group.clone(), r.plural.clone())).unwrap_or_default()
}

fn define(crd: &Arc<crate::store::Stored>, before: Option<&Registry>) -> Option<Arc<Defined>> {
    let (uid, generation) = (crd.uid(), crd.head().generation());
    let same = before.and_then(|b| b.defined.iter().find(|d| d.uid == uid && d.generation == generation));
    if let Some(same) = same {
        return Some(Arc::clone(same));
    }
    match Resource::from_crd(&crd.value()) {
        Ok(resources) => {
            let resources = resources.into_iter().map(Arc::new).collect();
            Some(Arc::new(Defined { uid: uid.to_owned(), generation, object: Arc::clone(crd), resources }))
        }
        // Checked before it was stored: only a database of a newer version brings us here.
        Err((field, reason)) => {
            tracing::error!(crd = crd.name(), field, reason, "a stored CRD cannot be served");
            None
        }
    }
}
