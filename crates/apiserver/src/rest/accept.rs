//! Which shape of answer a client wants.

use crate::status::ApiError;

/// The form of the answered object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The object itself.
    Object,
    /// A Table of this version of `meta.k8s.io`.
    Table(&'static str),
    /// Metadata only, of this version.
    Partial(&'static str),
    /// Aggregated discovery in this version; only `/api` and `/apis` have it.
    Discovery(&'static str),
}

/// What was negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) shape: Shape,
    pub(crate) yaml: bool,
}

impl Accept {
    pub(crate) const JSON: Self = Self { shape: Shape::Object, yaml: false };

    /// The first acceptable of the ranges, in the client's order; discovery documents only when `discovery`.
    pub(crate) fn negotiate(header: Option<&str>, discovery: bool) -> Result<Self, ApiError> {
        let Some(header) = header.filter(|h| !h.trim().is_empty()) else { return Ok(Self::JSON) };
        header.split(',').find_map(|range| acceptable(range, discovery)).ok_or_else(|| {
            let known = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            // A type that nobody has is refused elsewhere than a shape that this object has not.
            if !header.contains("application/json") && !header.contains("application/vnd.kubernetes.protobuf") {
                let mut error = ApiError::new(406, "NotAcceptable", format!("406: Not Acceptable\n\nAvailable representations: {known}"));
                error.details = Some(Box::new(serde_json::json!({})));
                return error;
            }
            ApiError::new(406, "NotAcceptable", format!("only the following media types are accepted: {known}"))
        })
    }
}

fn acceptable(range: &str, discovery: bool) -> Option<Accept> {
    let mut parts = range.split(';').map(str::trim);
    let yaml = match parts.next()? {
        "application/json" | "*/*" | "application/*" => false,
        "application/yaml" => true,
        _ => return None,
    };
    let (mut kind, mut group, mut version) = ("", "", "");
    for part in parts {
        match part.split_once('=').unwrap_or((part, "")) {
            ("as", value) => kind = value,
            ("g", value) => group = value,
            ("v", value) => version = value,
            _ => {}
        }
    }
    let meta = match version {
        "v1" => Some("v1"),
        "v1beta1" => Some("v1beta1"),
        _ => None,
    };
    let shape = match (kind, group) {
        ("", _) => Shape::Object,
        ("Table", "meta.k8s.io") => Shape::Table(meta?),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io") => Shape::Partial(meta?),
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io") if discovery => Shape::Discovery(match version {
            "v2" => "v2",
            "v2beta1" => "v2beta1",
            _ => return None,
        }),
        _ => return None,
    };
    Some(Accept { shape, yaml })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_that_can_be_served_wins() {
        let shape = |header: &str| Accept::negotiate(Some(header), true).map(|a| (a.shape, a.yaml)).ok();
        assert_eq!(shape("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some((Shape::Table("v1"), false)));
        assert_eq!(shape("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"), Some((Shape::Object, false)));
        assert_eq!(shape("application/vnd.kubernetes.protobuf, */*"), Some((Shape::Object, false)));
        assert_eq!(shape("application/yaml"), Some((Shape::Object, true)));
        assert_eq!(shape("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"), Some((Shape::Discovery("v2"), false)));
        assert_eq!(shape("application/json;as=Table;v=v9;g=meta.k8s.io"), None);
        assert_eq!(shape("text/html"), None);
        assert_eq!(Accept::negotiate(None, false).unwrap(), Accept::JSON);
    }
}
