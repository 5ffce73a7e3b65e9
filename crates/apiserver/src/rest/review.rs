//! Questions about who a client is and what it may do. There is one user, and it may do everything.

use serde_json::{Value, json};

use super::Target;
use super::accept::{Accept, Offer};
use super::body;
use super::route::Request;
use crate::discovery::{REVIEWS, Review};
use crate::rest::Reply;
use crate::status::ApiError;

/// Who the bearer of the token is.
pub(crate) const USER: &str = "weir-admin";
/// And the groups it is in.
const GROUPS: [&str; 2] = ["system:masters", "system:authenticated"];

/// Answers a review; `None` when the path is none.
pub(super) fn review(target: &Target, request: &Request) -> Option<Result<Reply, ApiError>> {
    let Target { group, version, resource, name, .. } = target;
    let (_, reviews) = REVIEWS.iter().find(|(own, _)| own == group).filter(|_| version == "v1" && name.is_none())?;
    let review = reviews.iter().find(|review| review.plural == resource && review.namespaced == target.namespace.is_some())?;
    if request.method != http::Method::POST {
        return Some(Err(ApiError::method_not_allowed()));
    }
    let answer = || {
        let accept = Accept::negotiate(request.header("accept"), Offer::Messages)?;
        Ok(Reply::object(201, accept.form, &answered(review, body::decode(request)?.object)))
    };
    Some(answer())
}

fn answered(review: &Review, mut object: Value) -> Value {
    let status = match review.kind {
        "SelfSubjectReview" => json!({"userInfo": {"username": USER, "groups": GROUPS}}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "SelfSubjectAccessReview" => json!({"allowed": true, "reason": "the bearer of the token may do everything"}),
        _ => about(&object),
    };
    if let Some(map) = object.as_object_mut() {
        map.entry("metadata").or_insert_with(|| json!({}));
        map.insert("status".to_owned(), status);
    }
    object
}

/// What some subject may do: the one user everything, others have no token to come with.
fn about(object: &Value) -> Value {
    let user = object.pointer("/spec/user").and_then(Value::as_str).unwrap_or_default();
    let groups = object.pointer("/spec/groups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if user == USER || groups.iter().any(|group| group == "system:masters") {
        json!({"allowed": true, "reason": "the bearer of the token may do everything"})
    } else {
        json!({"allowed": false, "reason": "only the bearer of the server's token has access"})
    }
}
