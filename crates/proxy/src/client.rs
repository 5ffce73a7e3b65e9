//! How a listener treats its clients, compiled from the Model.

use std::sync::Arc;

use weir_model::{ClientSettings, EscapedSlashes};
use weir_route::path;

use crate::mutation::{Matcher, Mutation};

/// A listener's settings with what they are compiled into.
pub(crate) struct Client {
    pub(crate) settings: Arc<ClientSettings>,
    pub(crate) path: path::Options,
    /// Before routing.
    pub(crate) early: Mutation,
    /// Last of all.
    pub(crate) late: Mutation,
    ignored_upgrades: Vec<Matcher>,
}

impl Client {
    pub(crate) fn new(settings: &Arc<ClientSettings>) -> Self {
        let escaped_slashes = match settings.path.escaped_slashes {
            EscapedSlashes::KeepUnchanged => path::EscapedSlashes::Keep,
            EscapedSlashes::RejectRequest => path::EscapedSlashes::Reject,
            EscapedSlashes::UnescapeAndForward => path::EscapedSlashes::Unescape,
            EscapedSlashes::UnescapeAndRedirect => path::EscapedSlashes::UnescapeAndRedirect,
        };
        Self {
            settings: settings.clone(),
            path: path::Options { merge_slashes: settings.path.merge_slashes, escaped_slashes },
            early: Mutation::new(&settings.headers.early_request),
            late: Mutation::new(&settings.headers.late_response),
            ignored_upgrades: settings.http1.ignored_upgrades.iter().map(Matcher::new).collect(),
        }
    }

    /// Whether an offer to speak `protocol` is passed over, and the request goes on without it.
    pub(crate) fn ignores_upgrade(&self, protocol: &[u8]) -> bool {
        // HTTP/2 may be passed over (RFC 9110, section 7.8), and curl offers it with each `--http2`; Envoy does the same.
        protocol.eq_ignore_ascii_case(b"h2c") || self.ignored_upgrades.iter().any(|it| it.matches(protocol))
    }
}
