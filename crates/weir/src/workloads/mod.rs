//! What the embedded node can run: each image name and the code that stands for it.

mod busybox;
mod controller;
pub(crate) mod echo;
mod proxy;

use std::sync::Arc;

use weir_node::Workload;
use weir_proxy::DataPlane;

/// All of them.
pub(crate) fn all(data_plane: &DataPlane, client: &kube::Config) -> Vec<Arc<dyn Workload>> {
    vec![
        Arc::new(echo::Basic),
        Arc::new(echo::Text),
        Arc::new(echo::Dns),
        Arc::new(busybox::Busybox),
        Arc::new(controller::Controller::new(data_plane.clone(), client.clone())),
        Arc::new(proxy::Proxy::new(data_plane.clone())),
    ]
}

/// A client that says who it is: fields that it writes are told to be its own.
pub(crate) fn named(mut client: kube::Config, name: &'static str) -> kube::Config {
    client.headers.retain(|(header, _)| header != http::header::USER_AGENT);
    client.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(name)));
    client
}

/// Whether `image` is the repository `name`, at any registry and of any tag or digest: `registry.k8s.io/a/echo-basic:v1` is `echo-basic`.
fn is_image(image: &str, name: &str) -> bool {
    let without_digest = image.split('@').next().unwrap_or_default();
    let repository = match without_digest.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => without_digest,
    };
    repository == name || repository.strip_suffix(name).is_some_and(|registry| registry.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::is_image;

    #[test]
    fn images_are_known_at_any_registry_and_of_any_tag() {
        for image in ["echo-basic", "echo-basic:v1", "registry.k8s.io/gateway-api/echo-basic:v1.5.1", "localhost:5000/echo-basic@sha256:00"]
        {
            assert!(is_image(image, "echo-basic"), "{image}");
        }
        for image in ["my-echo-basic", "echo-basic/other:v1", "echo-basics", ""] {
            assert!(!is_image(image, "echo-basic"), "{image}");
        }
        assert!(is_image("docker.io/hashicorp/http-echo:1.0", "hashicorp/http-echo"));
    }
}
