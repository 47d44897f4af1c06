//! Where a repository lies.

mod written;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use reqwest::Url;

use super::options::{AZURE_OPTIONS, Options, REST_OPTIONS, S3_OPTIONS, SFTP_OPTIONS};

/// Where a repository lies, with what its location says of the options.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A restic REST server; credentials are among the options.
    Rest {
        url: Url,
        options: BTreeMap<String, String>,
    },
    /// A folder of another machine.
    Sftp(BTreeMap<String, String>),
    /// A bucket or container.
    Object {
        service: Service,
        options: BTreeMap<String, String>,
    },
}

/// A storage that OpenDAL speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    S3,
    AzureBlob,
}

impl Location {
    /// Whether all options are known to this kind of storage.
    ///
    /// # Errors
    /// One sentence that names the first that is not.
    pub(super) fn check(&self, options: &Options) -> Result<(), String> {
        let known: &[&str] = match self {
            Location::Folder(_) => &[],
            Location::Rest { .. } => REST_OPTIONS,
            Location::Sftp(_) => SFTP_OPTIONS,
            Location::Object {
                service: Service::S3,
                ..
            } => S3_OPTIONS,
            Location::Object {
                service: Service::AzureBlob,
                ..
            } => AZURE_OPTIONS,
        };
        match options.iter().find(|(name, _)| !known.contains(name)) {
            None => Ok(()),
            Some((name, _)) if known.is_empty() => Err(format!(
                "options holds {name:?}, and a repository in a folder has none; remove it"
            )),
            Some((name, _)) => Err(format!(
                "options holds {name:?}, which this storage does not know; it knows {}",
                known.join(", ")
            )),
        }
    }

    /// The name of the source for people. Shows no credentials.
    pub(super) fn label(&self, more: &Options) -> String {
        let options = match self {
            Location::Folder(path) => return path.to_string_lossy().into_owned(),
            Location::Rest { url, .. } => return format!("rest:{url}"),
            Location::Sftp(options) | Location::Object { options, .. } => options,
        };
        let said = |name: &str| more.get(name).or_else(|| options.get(name).cloned());
        let part = |name: &str| said(name).unwrap_or_default();
        let (root, endpoint) = (part("root"), part("endpoint"));
        let root = root.trim_matches('/');
        match self {
            Location::Object {
                service: Service::S3,
                ..
            } => format!("s3:{endpoint}/{}/{root}", part("bucket")),
            Location::Object {
                service: Service::AzureBlob,
                ..
            } => format!("azure:{}:/{root}", part("container")),
            Location::Folder(_) | Location::Rest { .. } | Location::Sftp(_) => {
                let host = endpoint.strip_prefix("ssh://").unwrap_or(&endpoint);
                format!("sftp:{host}:/{root}")
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label(&Options::default()))
    }
}
