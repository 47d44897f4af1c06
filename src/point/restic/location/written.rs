//! Locations in the words of restic and of rustic.

use std::collections::BTreeMap;

use reqwest::Url;

use super::{Location, Service};

/// Forms that are understood, for messages.
const FORMS: &str = "write /FOLDER, rest:https://HOST/, s3:https://HOST/BUCKET/PREFIX, azure:CONTAINER:/PREFIX, \
                     sftp:USER@HOST:/FOLDER, or opendal:s3, opendal:azblob, opendal:sftp with options";

impl Location {
    /// Understands a repository's location.
    ///
    /// # Errors
    /// One sentence that shows none of the text, which may hold a password.
    pub(in crate::point::restic) fn parse(text: &str) -> Result<Location, String> {
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
            "opendal" => by_options(rest),
            _ => Err(format!(
                "repository is neither an absolute path nor a location that is read; {FORMS}"
            )),
        }
    }
}

/// The name that OpenDAL has for a storage; everything else stands in the options.
fn by_options(name: &str) -> Result<Location, String> {
    let service = match name {
        "s3" => Service::S3,
        "azblob" => Service::AzureBlob,
        "sftp" => return Ok(Location::Sftp(BTreeMap::new())),
        _ => {
            return Err(format!(
                "repository names a storage that is not read; {FORMS}"
            ));
        }
    };
    Ok(Location::Object {
        service,
        options: BTreeMap::new(),
    })
}

/// Options that have a value.
fn given<const N: usize>(options: [(&str, String); N]) -> BTreeMap<String, String> {
    let given = options.into_iter().filter(|(_, value)| !value.is_empty());
    given
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
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
    Ok(Location::Object {
        service: Service::S3,
        options: given([
            ("endpoint", format!("{scheme}://{host}")),
            ("bucket", bucket.to_owned()),
            ("root", root.to_owned()),
        ]),
    })
}

/// `CONTAINER:/PREFIX`.
fn azure(text: &str) -> Result<Location, String> {
    let (container, root) = text.split_once(':').unwrap_or((text, ""));
    if container.is_empty() || container.contains('/') {
        return Err("repository names no container; write azure:CONTAINER:/PREFIX".to_owned());
    }
    Ok(Location::Object {
        service: Service::AzureBlob,
        options: given([
            ("container", container.to_owned()),
            ("root", root.to_owned()),
        ]),
    })
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
    Ok(Location::Sftp(given([
        ("endpoint", format!("ssh://{host}")),
        ("root", root.to_owned()),
    ])))
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
            Location::Sftp(options) | Location::Object { options, .. } => {
                options.into_iter().collect()
            }
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
