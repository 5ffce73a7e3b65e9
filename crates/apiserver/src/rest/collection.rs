//! DELETE of a collection.

use super::Target;
use super::accept::Accept;
use super::deletion::{DeleteOptions, remove};
use super::present::{self, ListMeta};
use super::route::Request;
use crate::api::Api;
use crate::registry::Resource;
use crate::rest::Reply;
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::Key;

/// Deletes what the selectors match, one by one, and answers the list of it.
pub(super) async fn delete(api: &Api, request: &Request, target: &Target, resource: &Resource, accept: Accept) -> Result<Reply, ApiError> {
    let options = DeleteOptions::read(request)?;
    let selector = Selector::from_query(&request.query, resource)?;
    let (objects, _) = api.store.list(&resource.shelf, target.namespace.as_deref());
    let mut done = Vec::new();
    for object in objects.iter().filter(|o| selector.matches(o)) {
        let key = Key::new(&resource.shelf, object.namespace(), object.name());
        match remove(api, resource, &key, &options).await {
            Ok(deleted) => done.push(deleted.object),
            // Somebody else deleted it meanwhile.
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    present::many(api, resource, accept, &request.query, ListMeta::whole(api.store.version()), &done)
}
