//! Who may talk to the server: one bearer token, kept in the data directory; and the kubeconfig that carries it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use http::HeaderMap;
use rand::Rng;
use serde_json::json;
use sha2::{Digest, Sha256};

/// A token's digest: comparing digests takes the same time wherever two tokens differ.
#[derive(Clone)]
pub(crate) struct Token {
    text: String,
    digest: [u8; 32],
}

/// What a request's credentials are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Known,
    Anonymous,
    Wrong,
}

impl Token {
    /// Reads the token, or makes one at first start.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) if text.trim().len() >= 32 => text.trim().to_owned(),
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "too short for a token; delete it to get a new one")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = hex::encode(rand::rng().random::<[u8; 32]>());
                write_private(path, &text)?;
                text
            }
            Err(error) => return Err(error),
        };
        let digest = Sha256::digest(text.as_bytes()).into();
        Ok(Self { text, digest })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn check(&self, headers: &HeaderMap) -> Caller {
        let Some(header) = headers.get(http::header::AUTHORIZATION) else { return Caller::Anonymous };
        let given = header.to_str().ok().and_then(|h| h.split_once(' '));
        match given {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
                if digest == self.digest { Caller::Known } else { Caller::Wrong }
            }
            _ => Caller::Wrong,
        }
    }
}

/// Writes a file that only its owner may read, at once or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// A kubeconfig (JSON, which is YAML) with everything in it.
pub(crate) fn kubeconfig(url: &str, ca_pem: &str, token: &str) -> String {
    use base64::Engine;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "weir", "cluster": {"server": url, "certificate-authority-data": ca}}],
        "users": [{"name": "weir", "user": {"token": token}}],
        "contexts": [{"name": "weir", "context": {"cluster": "weir", "user": "weir"}}],
        "current-context": "weir",
    });
    serde_saphyr::to_string(&config).unwrap_or_else(|_| config.to_string())
}
