//! The path of a request for resources.

use percent_encoding::percent_decode_str;

/// What a path below `/api/V` or `/apis/G/V` names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// The old form of a watch, `/api/v1/watch/...`.
    pub(crate) watch: bool,
}

impl Target {
    /// `None` when the path is not of this form.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let decoded: Vec<String> =
            path.split('/').filter(|s| !s.is_empty()).map(|s| percent_decode_str(s).decode_utf8_lossy().into_owned()).collect();
        let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (watch, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            rest => (false, rest),
        };
        let own = |s: &str| s.to_owned();
        let mut target = Self { group: own(group), version: own(version), watch, ..Self::default() };
        let rest = match rest {
            // A namespace's own subresources look like a resource in it.
            ["namespaces", _, "status" | "finalize"] => rest,
            ["namespaces", namespace, resource, ..] if !resource.is_empty() => {
                target.namespace = Some(own(namespace));
                rest.get(2..).unwrap_or_default()
            }
            rest => rest,
        };
        let mut rest = rest.iter();
        target.resource = own(rest.next()?);
        target.name = rest.next().map(|s| own(s));
        target.subresource = rest.next().map(|s| own(s));
        if rest.next().is_some() {
            return None;
        }
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> Option<(String, String, String, String, String)> {
        let t = Target::parse(path)?;
        let text = |o: Option<String>| o.unwrap_or_default();
        Some((format!("{}/{}", t.group, t.version), text(t.namespace), t.resource, text(t.name), text(t.subresource)))
    }

    #[test]
    fn paths_name_resources() {
        let cases = [
            ("/api/v1/pods", "/v1", "", "pods", "", ""),
            ("/api/v1/namespaces", "/v1", "", "namespaces", "", ""),
            ("/api/v1/namespaces/a", "/v1", "", "namespaces", "a", ""),
            ("/api/v1/namespaces/a/status", "/v1", "", "namespaces", "a", "status"),
            ("/api/v1/namespaces/a/pods", "/v1", "a", "pods", "", ""),
            ("/api/v1/namespaces/a/pods/p/log", "/v1", "a", "pods", "p", "log"),
            ("/apis/apps/v1/namespaces/a/deployments/d%2Fe", "apps/v1", "a", "deployments", "d/e", ""),
        ];
        for (path, group, namespace, resource, name, subresource) in cases {
            let expected = [group, namespace, resource, name, subresource].map(str::to_owned);
            assert_eq!(parts(path), Some(expected.into()), "{path}");
        }
        for path in ["/", "/api/v1", "/apis/apps", "/apis/apps/v1", "/openapi/v3", "/api/v1/namespaces/a/pods/p/log/more"] {
            assert_eq!(parts(path), None, "{path}");
        }
        assert!(Target::parse("/api/v1/watch/pods").is_some_and(|t| t.watch && t.resource == "pods"));
    }
}
