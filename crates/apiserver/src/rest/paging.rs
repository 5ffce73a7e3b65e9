//! Lists in pages: `limit`, and the token by which a client comes back for the rest.
//!
//! A token names the version of the first page. Later pages are of that version too: what has changed since is undone from the window of
//! events that watches read. When that window has moved on, the client is told (410) and given a token for the rest as it is now.

use std::sync::Arc;

use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::{DecodeError, Engine};
use serde::{Deserialize, Serialize};

use super::Target;
use super::present::ListMeta;
use super::query::Query;
use crate::api::Api;
use crate::registry::Resource;
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::{Listing, Page, Stored};

const TOKEN_VERSION: &str = "meta.k8s.io/v1";
/// The version in a token that goes on with whatever there is.
const LATEST: i64 = -1;

/// Where a list goes on.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Token {
    v: String,
    rv: i64,
    /// What comes after this object: its name, with its namespace in a list of all, closed by a zero byte.
    start: String,
}

impl Token {
    fn text(&self) -> String {
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, ApiError> {
        let refuse = |why: String| ApiError::bad_request(format!("invalid continue token: continue key is not valid{why}"));
        let bytes = BASE64.decode(text).map_err(|error| match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => {
                refuse(format!(": illegal base64 data at input byte {at}"))
            }
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
                refuse(format!(": illegal base64 data at input byte {}", text.len() / 4 * 4))
            }
        })?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|error| match bytes.first() {
            Some(first) if !b"{[\"-0123456789tfn \n\r\t".contains(first) => {
                refuse(format!(": invalid character {:?} looking for beginning of value", char::from(*first)))
            }
            _ => refuse(format!(": {error}")),
        })?;
        if token.v != TOKEN_VERSION {
            return Err(refuse(": server does not recognize this encoded version ".to_owned() + &token.v));
        }
        if token.rv == 0 || token.rv < LATEST {
            return Err(refuse(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned()));
        }
        if token.start.is_empty() {
            return Err(refuse(": encoded start key empty (version meta.k8s.io/v1)".to_owned()));
        }
        Ok(token)
    }
}

/// The page that the query asks for, of the objects that the selector matches.
pub(super) fn page(
    api: &Api,
    target: &Target,
    resource: &Resource,
    query: &Query,
    selector: &Selector,
) -> Result<(Vec<Arc<Stored>>, ListMeta), ApiError> {
    let namespace = target.namespace.as_deref();
    let token = query.get("continue").map(Token::parse).transpose()?;
    if token.is_some() && query.get("resourceVersion").is_some_and(|version| version != "0") {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    let limit = limit(query)?;
    let asked = query.get("resourceVersion").and_then(|version| version.parse::<u64>().ok()).filter(|version| *version > 0);
    let exact = match query.get("resourceVersionMatch") {
        Some(how) => how == "Exact",
        // As servers did before there was a choice: the first page of a list is of the version that is named, a whole list is of now.
        None => limit.is_some(),
    };
    let at = match &token {
        // A version that is not there yet: the token is of a server whose state has been put back since.
        Some(token) if u64::try_from(token.rv).is_ok_and(|version| version > api.store.version()) => return Err(expired(Some(token))),
        Some(token) => u64::try_from(token.rv).ok(),
        None => asked.filter(|_| exact),
    };
    // A list from the cache, which any version will do for, comes whole.
    let limit = limit.filter(|_| query.get("resourceVersion") != Some("0"));
    let after = token.as_ref().map(|token| {
        let last = token.start.trim_end_matches('\0');
        last.split_once('/').unwrap_or((namespace.unwrap_or_default(), last))
    });
    // Who counts what a selector matches has to look at all.
    let max = limit.filter(|_| selector.is_empty()).unwrap_or(usize::MAX);
    let wanted = Listing { shelf: &resource.shelf, namespace, at, after, max };
    let Page { mut objects, version, left } = api.store.page(&wanted).map_err(|_| expired(token.as_ref()))?;
    let mut head = ListMeta::whole(version);
    let more = if selector.is_empty() {
        head.remaining = Some(left).filter(|left| *left > 0);
        left > 0
    } else {
        let limit = limit.unwrap_or(usize::MAX);
        objects = objects.into_iter().filter(|object| selector.matches(object)).take(limit.saturating_add(1)).collect();
        let more = objects.len() > limit;
        objects.truncate(limit);
        more
    };
    if more && let Some(last) = objects.last() {
        let start = match (last.namespace(), last.name()) {
            (own, name) if namespace.is_none() && !own.is_empty() => format!("{own}/{name}\0"),
            (_, name) => format!("{name}\0"),
        };
        let rv = i64::try_from(version).unwrap_or(i64::MAX);
        head.next = Token { v: TOKEN_VERSION.to_owned(), rv, start }.text();
    }
    Ok((objects, head))
}

fn limit(query: &Query) -> Result<Option<usize>, ApiError> {
    let Some(text) = query.get("limit") else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(limit) => Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0)),
        Err(_) => Err(ApiError::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))),
    }
}

fn expired(token: Option<&Token>) -> ApiError {
    let Some(token) = token else {
        return ApiError::new(410, "Expired", "The resourceVersion for the provided list is too old.");
    };
    let mut error = ApiError::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
         parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided \
         token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was \
         returned and now may show up in the list.",
    );
    error.next = Some(Token { v: token.v.clone(), rv: LATEST, start: token.start.clone() }.text().into());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_forged_ones_are_refused() {
        let token = Token { v: TOKEN_VERSION.to_owned(), rv: 7, start: "a\0".to_owned() };
        assert_eq!(Token::parse(&token.text()).unwrap(), token);
        let forged = |json: &str| Token::parse(&BASE64.encode(json)).unwrap_err();
        for json in ["", "x", "{}", r#"{"v":"v9","rv":1,"start":"a"}"#, r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#] {
            assert!(forged(json).message.starts_with("invalid continue token: continue key is not valid"), "{json}");
        }
        assert_eq!(Token::parse("%%").unwrap_err().code, 400);
        assert_eq!(forged(r#"{"v":"meta.k8s.io/v1","rv":-2,"start":"a"}"#).code, 400);
    }
}
