//! `pods/NAME/binding`: a scheduler puts a pod on a node.

use serde_json::{Value, json};

use super::options::WriteOptions;
use super::route::Request;
use super::update::{Made, Part, change};
use super::{Target, body};
use crate::api::Api;
use crate::object::{ObjectExt, set_or_remove};
use crate::registry::Resource;
use crate::rest::Reply;
use crate::schema::FieldError;
use crate::status::ApiError;
use crate::store::{Key, Parsed};

/// POST of a Binding. A pod is bound once and for all.
pub(super) async fn bind(api: &Api, request: &Request, target: &Target, resource: &Resource) -> Result<Reply, ApiError> {
    let options = WriteOptions::from_query(&request.query, "CreateOptions")?;
    let name = target.name.as_deref().unwrap_or_default();
    let binding = body::decode(request)?.object;
    if !binding.name().is_empty() && binding.name() != name {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    let node = node(&binding)?;
    let key = Key::new(&resource.shelf, target.namespace.as_deref().unwrap_or_default(), name);
    let make = |old: &Parsed| {
        let old = &old.value;
        let refuse = |why: String| Err(ApiError::conflict_because("", "pods/binding", name, &why));
        let bound = old.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
        if old.is_deleting() {
            return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        if !bound.is_empty() {
            return refuse(format!("pod {name} is already assigned to node \"{bound}\""));
        }
        if !binding.uid().is_empty() && binding.uid() != old.uid() {
            return refuse(format!("Precondition failed: UID in precondition: {}, UID in object meta: {}", binding.uid(), old.uid()));
        }
        let mut pod = old.clone();
        if let Some(spec) = pod.get_mut("spec") {
            set_or_remove(spec, "nodeName", Some(&node));
        }
        Ok(Made::Written(pod))
    };
    change(api, resource, Part::Binding, &key, options.dry_run, None, make).await?;
    Ok(Reply::json(201, &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})))
}

/// The node that a Binding names.
fn node(binding: &Value) -> Result<Value, ApiError> {
    let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let wrong = match (text("/target/kind"), text("/target/name")) {
        ("" | "Node", "") => {
            FieldError { reason: "FieldValueRequired", field: "target.name".to_owned(), message: "Required value".to_owned() }
        }
        ("" | "Node", node) => return Ok(Value::from(node)),
        (other, _) => FieldError {
            reason: "FieldValueNotSupported",
            field: "target.kind".to_owned(),
            message: format!("Unsupported value: \"{other}\": supported values: \"Node\", \"<empty>\""),
        },
    };
    // The real server's answer: it checks in a place that knows only of failures of its own.
    Err(ApiError::new(500, "", format!("{}: {}", wrong.field, wrong.message)))
}
