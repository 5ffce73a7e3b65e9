//! `weir translate`: what the controller would make of manifests, without a server, a port or a clock.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use weir_translate::{Observed, Resources, Settings, Translator};

use crate::cli::TranslateArguments;
use crate::exit::Failure;
use crate::files::{self, Checker, Document};
use crate::output::render;

/// Prints every object with the status that it would get, or the Model.
pub(crate) fn translate(arguments: &TranslateArguments) -> Result<(), Failure> {
    let mut standard_input = String::new();
    if arguments.files.iter().any(|path| path.as_os_str() == "-") {
        std::io::stdin().read_to_string(&mut standard_input).map_err(|error| Failure::new(format_args!("standard input: {error}")))?;
    }
    let (documents, errors) = files::read_all(&arguments.files, Some(&standard_input));
    if !errors.is_empty() {
        return Err(Failure::new(files::told(errors).join("\nweir: ")));
    }
    let checker = Checker::new(&weir_api::crds()).map_err(Failure::new)?;
    let objects: Vec<Value> = documents.iter().map(|document| stored(document, &checker)).collect();
    let settings = settings(&objects)?;
    let mut resources = Resources::default();
    for object in &objects {
        // An object that cannot be decoded is kept as such, and its status says so.
        let _ = resources.upsert(object.clone());
    }
    let output = Translator::new().translate(&resources, &settings, &Observed::default());
    let printed = if arguments.model {
        model(&output.model.redacted())
    } else {
        let items: Vec<Value> = objects.into_iter().map(|object| with_status(object, &output)).collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    };
    std::io::stdout().lock().write_all(render(&printed, arguments.output)?.as_bytes())?;
    Ok(())
}

/// The object as an API server would keep it: with its defaults, in a namespace, of generation 1.
fn stored(document: &Document, checker: &Checker) -> Value {
    let mut object = checker.with_defaults(document);
    let namespaced = checker.resource(document).is_some_and(|resource| resource.namespaced);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if namespaced && document.namespace().is_empty() {
            metadata.insert("namespace".to_owned(), json!("default"));
        }
        metadata.entry("generation").or_insert(json!(1));
    }
    object
}

/// What an `envoy-gateway-config` ConfigMap among the objects says, else the defaults.
fn settings(objects: &[Value]) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    let config = objects
        .iter()
        .find(|it| it["kind"] == "ConfigMap" && it.pointer("/metadata/name").is_some_and(|name| name == "envoy-gateway-config"));
    if let Some(text) = config.and_then(|it| it["data"]["envoy-gateway.yaml"].as_str()) {
        let file =
            weir_api::envoy_gateway::parse(text).map_err(|error| Failure::new(format_args!("ConfigMap envoy-gateway-config: {error}")))?;
        settings.controller_name = file.gateway.controller_name.as_str().into();
        settings.enable_backend = file.extension_apis.enable_backend;
    }
    Ok(settings)
}

fn with_status(mut object: Value, output: &weir_translate::Output) -> Value {
    // The generation is there for the statuses' sake; the user did not write it.
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generation");
    }
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let reference = weir_translate::Kind::of(&object)
        .map(|kind| weir_translate::ObjectRef::new(kind, text("/metadata/namespace").into(), text("/metadata/name").into()));
    if let Some(update) = reference.and_then(|it| output.statuses.get(&it)) {
        object["status"] = update.status.value();
    }
    object
}

fn model(model: &weir_model::Model) -> Value {
    json!({
        "gateways": model.gateways.values().collect::<Vec<_>>(),
        "listeners": model.listeners.values().collect::<Vec<_>>(),
        "backends": model.backends.values().collect::<Vec<_>>(),
        "routes": model.routes.values().collect::<Vec<_>>(),
        "limits": model.limits.values().collect::<Vec<_>>(),
    })
}
