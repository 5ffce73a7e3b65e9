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

/// How an answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Json,
    Yaml,
    Protobuf,
}

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Documents about the server.
    Discovery,
    /// Objects of a kind that has messages in protobuf.
    Messages,
    /// Objects of other kinds; their metadata has messages.
    Objects,
}

/// What was negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) shape: Shape,
    pub(crate) form: Form,
}

impl Accept {
    pub(crate) const JSON: Self = Self { shape: Shape::Object, form: Form::Json };

    /// The first acceptable of the ranges, in the client's order.
    pub(crate) fn negotiate(header: Option<&str>, offer: Offer) -> Result<Self, ApiError> {
        let Some(header) = header.filter(|h| !h.trim().is_empty()) else { return Ok(Self::JSON) };
        header.split(',').find_map(|range| acceptable(range, offer)).ok_or_else(|| {
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

fn acceptable(range: &str, offer: Offer) -> Option<Accept> {
    let mut parts = range.split(';').map(str::trim);
    let form = match parts.next()? {
        "application/json" | "*/*" | "application/*" => Form::Json,
        "application/yaml" => Form::Yaml,
        "application/vnd.kubernetes.protobuf" => Form::Protobuf,
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
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io") if offer == Offer::Discovery => Shape::Discovery(match version {
            "v2" => "v2",
            "v2beta1" => "v2beta1",
            _ => return None,
        }),
        _ => return None,
    };
    let has_messages = match shape {
        Shape::Object => offer == Offer::Messages,
        Shape::Partial(_) => offer != Offer::Discovery,
        Shape::Table(_) | Shape::Discovery(_) => false,
    };
    (form != Form::Protobuf || has_messages).then_some(Accept { shape, form })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_that_can_be_served_wins() {
        let chosen = |header: &str, offer| Accept::negotiate(Some(header), offer).map(|a| (a.shape, a.form)).ok();
        let shape = |header: &str| chosen(header, Offer::Discovery);
        assert_eq!(shape("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some((Shape::Table("v1"), Form::Json)));
        assert_eq!(shape("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"), Some((Shape::Object, Form::Json)));
        assert_eq!(shape("application/vnd.kubernetes.protobuf, */*"), Some((Shape::Object, Form::Json)));
        assert_eq!(shape("application/yaml"), Some((Shape::Object, Form::Yaml)));
        assert_eq!(
            shape("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
            Some((Shape::Discovery("v2"), Form::Json))
        );
        assert_eq!(shape("application/json;as=Table;v=v9;g=meta.k8s.io"), None);
        assert_eq!(shape("text/html"), None);
        assert_eq!(Accept::negotiate(None, Offer::Objects).unwrap(), Accept::JSON);
    }

    #[test]
    fn protobuf_is_for_what_has_messages() {
        let form = |header: &str, offer| Accept::negotiate(Some(header), offer).map(|a| a.form).ok();
        let both = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(form(both, Offer::Messages), Some(Form::Protobuf));
        assert_eq!(form(both, Offer::Objects), Some(Form::Json));
        assert_eq!(form("application/vnd.kubernetes.protobuf", Offer::Objects), None);
        let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        assert_eq!(form(partial, Offer::Objects), Some(Form::Protobuf));
        assert_eq!(
            form("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/json", Offer::Messages),
            Some(Form::Json)
        );
    }
}
