//! Questions that a client asks about itself. There is one user, and it may do everything.

use serde_json::json;

use super::body;
use super::route::Request;
use crate::rest::Reply;
use crate::status::ApiError;

/// Who the bearer of the token is.
pub(crate) const USER: &str = "weir-admin";

/// Answers a SelfSubjectAccessReview or SelfSubjectReview; `None` when the path is neither.
pub(super) fn review(group: &str, plural: &str, request: &Request) -> Option<Result<Reply, ApiError>> {
    let status = match (group, plural) {
        ("authorization.k8s.io", "selfsubjectaccessreviews") => {
            json!({"allowed": true, "reason": "the bearer of the token may do everything"})
        }
        ("authentication.k8s.io", "selfsubjectreviews") => {
            json!({"userInfo": {"username": USER, "groups": ["system:masters", "system:authenticated"]}})
        }
        _ => return None,
    };
    if request.method != http::Method::POST {
        return Some(Err(ApiError::method_not_allowed()));
    }
    let answer = body::decode(request).map(|decoded| {
        let mut object = decoded.object;
        if let Some(map) = object.as_object_mut() {
            map.entry("metadata").or_insert_with(|| json!({}));
            map.insert("status".to_owned(), status);
        }
        Reply::json(201, &object)
    });
    Some(answer)
}
