//! A grant's connection details as JSON, for people who use their own initiator (SPEC §8).

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use chap::{Credentials, InvalidSecret, Secret};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::grant::{GrantId, GrantedDisk};

/// Bytes. A bundle with 255 disks of long names is under 100 KiB.
const MAX_FILE: usize = 1024 * 1024;

/// The content of a bundle file.
#[derive(Debug, Deserialize, Serialize)]
pub struct Bundle {
    /// The grant.
    pub grant: GrantId,
    /// Its target's name.
    pub iqn: String,
    /// Where the server listens: `HOST:PORT`, an IPv6 address in brackets.
    pub portal: String,
    /// The name that the server's certificate is for.
    pub server_name: String,
    /// The only CA that the server's certificate may be of.
    pub ca_pem: String,
    /// The grant's client certificate.
    pub client_cert_pem: String,
    /// Its private key.
    pub client_key_pem: SecretText,
    /// What the initiator proves itself with.
    pub initiator: BundleCredentials,
    /// What the target proves itself with.
    pub target: BundleCredentials,
    /// When the grant's time runs out, unless it is renewed.
    pub expires_at: Timestamp,
    /// The logical units.
    pub disks: Vec<GrantedDisk>,
}

/// A CHAP name and its secret.
#[derive(Debug, Deserialize, Serialize)]
pub struct BundleCredentials {
    /// CHAP_N.
    pub user: String,
    /// The shared secret.
    pub secret: SecretText,
}

/// Text that is shown to nobody and wiped when it is no longer needed.
#[derive(Clone, Deserialize, Serialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct SecretText(String);

/// A bundle file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("cannot read the bundle {path:?}: {source}; name a file that you may read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not a bundle.
    #[error(
        "{path:?} is not a bundle: {why}; name the file that `itemlift grant create --os bundle` wrote"
    )]
    NotABundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Bundle {
    /// Reads a bundle file.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn load(path: &Path) -> Result<Self, BundleError> {
        let unreadable = |source| BundleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let not_a_bundle = |why: String| BundleError::NotABundle {
            path: path.to_owned(),
            why,
        };
        // With room for all of it: a string that grows leaves copies of secrets behind.
        let mut text = SecretText(String::with_capacity(MAX_FILE + 1));
        File::open(path)
            .and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_string(&mut text.0))
            .map_err(unreadable)?;
        if text.0.len() > MAX_FILE {
            return Err(not_a_bundle("it is too large".into()));
        }
        // A syntax error names line and column, never the content.
        serde_json::from_str(text.reveal()).map_err(|error| not_a_bundle(error.to_string()))
    }
}

impl BundleCredentials {
    /// The same, for CHAP.
    ///
    /// # Errors
    /// The secret has a length that CHAP does not allow.
    pub fn credentials(&self) -> Result<Credentials, InvalidSecret> {
        Ok(Credentials {
            user: self.user.clone(),
            secret: Secret::new(self.secret.reveal().as_bytes())?,
        })
    }
}

impl SecretText {
    /// Keeps `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_repeat_the_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bundle.json");
        std::fs::write(
            &file,
            r#"{"grant":"0123456789ab","iqn":7,"secret":"hunter2hunter2"}"#,
        )
        .unwrap();
        let error = Bundle::load(&file).unwrap_err().to_string();
        assert!(
            error.contains("bundle.json") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(matches!(
            Bundle::load(&dir.path().join("none")),
            Err(BundleError::Unreadable { .. })
        ));
    }

    #[test]
    fn a_file_without_end_is_read_to_the_limit() {
        let error = Bundle::load(Path::new("/dev/zero")).unwrap_err();
        assert!(error.to_string().contains("too large"), "{error}");
    }

    #[test]
    fn secrets_are_not_in_debug() {
        let credentials = BundleCredentials {
            user: "name".into(),
            secret: SecretText::new("hunter2hunter2".into()),
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
