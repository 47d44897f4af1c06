//! Where a repository lies, in the words of restic and of rustic.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use reqwest::Url;

use super::options::{AZURE_OPTIONS, Options, REST_OPTIONS, S3_OPTIONS, SFTP_OPTIONS};

/// Where a repository lies.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A restic REST server; credentials are among the options.
    Rest {
        url: Url,
        options: BTreeMap<String, String>,
    },
    /// A storage that OpenDAL speaks to, and what the location says of its options.
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
    Sftp,
}

/// Forms that are understood, for messages.
const FORMS: &str = "write /FOLDER, rest:https://HOST/, s3:https://HOST/BUCKET/PREFIX, azure:CONTAINER:/PREFIX, \
                     sftp:USER@HOST:/FOLDER, or opendal:s3, opendal:azblob, opendal:sftp with options";

impl Location {
    /// Understands a repository's location.
    ///
    /// # Errors
    /// One sentence that shows none of the text, which may hold a password.
    pub(super) fn parse(text: &str) -> Result<Location, String> {
        let path = text.strip_prefix("local:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Location::Folder(path.into()));
        }
        let (kind, rest) = text
            .split_once(':')
            .ok_or_else(|| format!("repository is no absolute path; {FORMS}"))?;
        match kind {
            "rest" => rest_server(rest),
            "s3" => s3(rest),
            "azure" => azure(rest),
            "sftp" => sftp(rest),
            "opendal" => {
                let service = match rest {
                    "s3" => Service::S3,
                    "azblob" => Service::AzureBlob,
                    "sftp" => Service::Sftp,
                    _ => {
                        return Err(format!(
                            "repository names a storage that is not read; {FORMS}"
                        ));
                    }
                };
                Ok(Location::object(service, []))
            }
            _ => Err(format!(
                "repository is neither an absolute path nor a location that is read; {FORMS}"
            )),
        }
    }

    fn object<const N: usize>(service: Service, options: [(&str, String); N]) -> Location {
        let given = options.into_iter().filter(|(_, value)| !value.is_empty());
        Location::Object {
            service,
            options: given
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }

    /// Whether all options are known to this kind of storage.
    ///
    /// # Errors
    /// One sentence that names the first that is not.
    pub(super) fn check(&self, options: &Options) -> Result<(), String> {
        let known: &[&str] = match self {
            Location::Folder(_) => &[],
            Location::Rest { .. } => REST_OPTIONS,
            Location::Object { service, .. } => service.options(),
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
        match self {
            Location::Folder(path) => path.to_string_lossy().into_owned(),
            Location::Rest { url, .. } => format!("rest:{url}"),
            Location::Object { service, options } => {
                let said = |name: &str| more.get(name).or_else(|| options.get(name).cloned());
                let part = |name: &str| said(name).unwrap_or_default();
                let root = part("root");
                let root = root.trim_matches('/');
                match service {
                    Service::S3 => format!("s3:{}/{}/{root}", part("endpoint"), part("bucket")),
                    Service::AzureBlob => format!("azure:{}:/{root}", part("container")),
                    Service::Sftp => {
                        let endpoint = part("endpoint");
                        let host = endpoint.strip_prefix("ssh://").unwrap_or(&endpoint);
                        format!("sftp:{host}:/{root}")
                    }
                }
            }
        }
    }
}

impl Service {
    fn options(self) -> &'static [&'static str] {
        match self {
            Service::S3 => S3_OPTIONS,
            Service::AzureBlob => AZURE_OPTIONS,
            Service::Sftp => SFTP_OPTIONS,
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label(&Options::default()))
    }
}

/// `https://USER:PASSWORD@HOST:8000/FOLDER/`.
fn rest_server(text: &str) -> Result<Location, String> {
    let wrong = || "repository holds no URL that is read; write rest:https://HOST:8000/FOLDER/";
    let mut url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong().to_owned());
    }
    let mut options = BTreeMap::new();
    if let Some(password) = url.password() {
        options.insert("username".to_owned(), decoded(url.username()));
        options.insert("password".to_owned(), decoded(password));
    }
    // Both fail for URLs without a host only.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(Location::Rest { url, options })
}

/// `[https://]HOST/BUCKET[/PREFIX]`.
fn s3(text: &str) -> Result<Location, String> {
    let wrong = "repository names no bucket; write s3:https://HOST/BUCKET/PREFIX";
    let text = text.strip_prefix("//").unwrap_or(text);
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => return Err(wrong.to_owned()),
        None => ("https", text),
    };
    let (host, path) = rest.split_once('/').ok_or(wrong)?;
    let (bucket, root) = path.split_once('/').unwrap_or((path, ""));
    if host.is_empty() || host.contains('@') || bucket.is_empty() {
        return Err(wrong.to_owned());
    }
    Ok(Location::object(
        Service::S3,
        [
            ("endpoint", format!("{scheme}://{host}")),
            ("bucket", bucket.to_owned()),
            ("root", root.to_owned()),
        ],
    ))
}

/// `CONTAINER:/PREFIX`.
fn azure(text: &str) -> Result<Location, String> {
    let (container, root) = text.split_once(':').unwrap_or((text, ""));
    if container.is_empty() || container.contains('/') {
        return Err("repository names no container; write azure:CONTAINER:/PREFIX".to_owned());
    }
    Ok(Location::object(
        Service::AzureBlob,
        [
            ("container", container.to_owned()),
            ("root", root.to_owned()),
        ],
    ))
}

/// `USER@HOST:/FOLDER` or `//USER@HOST[:PORT]//FOLDER`, where one slash ends the host's name. To restic, a folder
/// without a slash of its own lies below the user's; here it must be a whole path.
fn sftp(text: &str) -> Result<Location, String> {
    let wrong = "repository names no host and folder; write sftp:USER@HOST:/FOLDER";
    let (host, root) = match text.strip_prefix("//") {
        Some(text) => text.split_once('/').ok_or(wrong)?,
        None => text.split_once(':').ok_or(wrong)?,
    };
    // What begins with a dash would be an option of ssh.
    if host.is_empty() || !root.starts_with('/') || host.starts_with('-') || host.contains("@-") {
        return Err(wrong.to_owned());
    }
    Ok(Location::object(
        Service::Sftp,
        [
            ("endpoint", format!("ssh://{host}")),
            ("root", root.to_owned()),
        ],
    ))
}

/// What stands in a URL behind percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| more.get(..2))
            .flatten()
            .and_then(|hex| str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = match escaped {
            Some(_) => more.get(2..).unwrap_or_default(),
            None => more,
        };
        bytes.push(escaped.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Vec<(String, String)> {
        match Location::parse(text).unwrap() {
            Location::Folder(path) => vec![("path".into(), path.to_string_lossy().into_owned())],
            Location::Rest { url, options } => [("url".to_owned(), url.to_string())]
                .into_iter()
                .chain(options)
                .collect(),
            Location::Object { options, .. } => options.into_iter().collect(),
        }
    }

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(options(text), expected, "{text}");
    }

    #[test]
    fn what_restic_and_rustic_understand() {
        check("/srv/restic", &[("path", "/srv/restic")]);
        check("local:/srv/restic", &[("path", "/srv/restic")]);
        check(
            "rest:https://a%40b:p%3aw@host:8000/vms",
            &[
                ("url", "https://host:8000/vms/"),
                ("password", "p:w"),
                ("username", "a@b"),
            ],
        );
        check(
            "s3:s3.amazonaws.com/bucket",
            &[
                ("bucket", "bucket"),
                ("endpoint", "https://s3.amazonaws.com"),
            ],
        );
        check(
            "s3:http://127.0.0.1:7480/bucket/a/b",
            &[
                ("bucket", "bucket"),
                ("endpoint", "http://127.0.0.1:7480"),
                ("root", "a/b"),
            ],
        );
        check("azure:vms:/a/b", &[("container", "vms"), ("root", "/a/b")]);
        check(
            "sftp:backup@host:/srv/restic",
            &[("endpoint", "ssh://backup@host"), ("root", "/srv/restic")],
        );
        check(
            "sftp://backup@host:2222//srv/restic",
            &[
                ("endpoint", "ssh://backup@host:2222"),
                ("root", "/srv/restic"),
            ],
        );
        check("opendal:azblob", &[]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_showing_it() {
        for text in [
            "",
            "srv/s3cr3t",
            "b2:s3cr3t",
            "rest:s3cr3t",
            "rest:ftp://s3cr3t/",
            "s3:s3cr3t",
            "s3:https://key:s3cr3t@host/bucket",
            "azure::/s3cr3t",
            "sftp:s3cr3t",
            "sftp:-oProxyCommand=s3cr3t:/a",
            "sftp:host:s3cr3t",
            "sftp://host/s3cr3t",
            "opendal:s3cr3t",
        ] {
            let message = Location::parse(text).unwrap_err();
            assert!(!message.contains("s3cr3t"), "{message}");
            assert!(message.starts_with("repository "), "{message}");
        }
    }
}
