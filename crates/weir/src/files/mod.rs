//! Manifests in files: reading them with their positions, judging them as the API server will, and keeping the API in step with them.

mod apply;
mod check;
mod declared;
mod position;
mod read;
mod snapshot;
mod watch;

pub(crate) use apply::{Applier, collection_path};
pub(crate) use check::Checker;
pub(crate) use read::{Document, ReadError, read_all};
pub(crate) use watch::{Watched, follow};

/// So many objects of one kind and namespace are many: they are listed at once and written side by side. Fewer are written one after the
/// other, so that what the server hands out in order, such as addresses, is handed out in the order of the files.
const MANY: usize = 32;

/// Orders documents so that what others stand on comes first: namespaces, definitions, configuration; then the rest as written.
pub(crate) fn in_order(documents: &mut [Document]) {
    documents.sort_by_key(|document| match document.kind() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ConfigMap" | "Secret" | "ServiceAccount" => 2,
        "GatewayClass" => 3,
        _ => 4,
    });
}

/// An error for each object that stands in the files a second time.
pub(crate) fn twice(documents: &[Document], checker: &Checker) -> Vec<ReadError> {
    let mut seen = std::collections::HashMap::new();
    let mut errors = Vec::new();
    for document in documents {
        let namespace = if checker.resource(document).is_some_and(|it| it.namespaced) { document.namespace_or_default() } else { "" };
        let group = document.api_version().rsplit_once('/').map_or("", |(group, _)| group);
        if let Some(first) = seen.insert((group, document.kind(), namespace, document.name()), document) {
            let place = first.position("metadata.name");
            let slash = if namespace.is_empty() { "" } else { "/" };
            let message = format!("{} {namespace}{slash}{} stands in the files twice", document.kind(), document.name());
            errors.push(document.error("metadata.name", message, Some(format!("first at {}:{}", first.source.name, place.line))));
        }
    }
    errors
}

/// The errors as text, file by file and from top to bottom.
pub(crate) fn told(mut errors: Vec<ReadError>) -> Vec<String> {
    errors.sort_by(|a, b| a.place().cmp(&b.place()));
    errors.iter().map(ToString::to_string).collect()
}
