//! What `itemlift.toml` says of a repository.
//!
//! ```toml
//! [[source]]
//! kind = "restic"
//! repository = "s3:https://s3.example.com/bucket/prefix"
//! password_file = "/etc/itemlift/restic.key"  # or password_command = ["pass", "restic"], password_env = "RESTIC_PASSWORD"
//! options = { access_key_id = "…" }           # of the storage, by the names that OpenDAL and rustic give them
//! options_file = "/etc/itemlift/s3.toml"      # more of them, in a file that only itemlift can read
//! ```

use std::path::PathBuf;

use serde::Deserialize;

use super::error::RepositoryError;
use super::location::Location;
use super::options::Options;

/// Bytes in `options_file`, at most.
const MAX_OPTIONS_FILE: u64 = 64 * 1024;

/// A `[[source]]` of kind `restic`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ResticConfig {
    pub(super) location: Location,
    pub(super) password: PasswordSource,
    pub(super) options: Options,
    pub(super) options_file: Option<PathBuf>,
}

/// Where the repository's password comes from. It is read each time the repository is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PasswordSource {
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a program prints, which is started without a shell.
    Command(Vec<String>),
    /// A variable of the server's environment.
    Variable(String),
}

impl ResticConfig {
    /// The name that recovery points and messages call the source by: no credential is in it.
    pub fn label(&self) -> String {
        self.location.label(&self.options)
    }

    /// The options of the configuration, and those of `options_file`.
    ///
    /// # Errors
    /// [`RepositoryError::Options`], which shows no value.
    pub(super) fn all_options(&self) -> Result<Options, RepositoryError> {
        let Some(path) = &self.options_file else {
            return Ok(self.options.clone());
        };
        let wrong = |reason: String| RepositoryError::Options(format!("{path:?}: {reason}"));
        let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
        if size.len() > MAX_OPTIONS_FILE {
            return Err(wrong(format!("it is larger than {MAX_OPTIONS_FILE} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        // Its message could show a value.
        let more: Options = toml::from_str(&text)
            .map_err(|_| wrong("it does not hold lines NAME = \"VALUE\"".to_owned()))?;
        let options = self.options.with(more);
        self.location.check(&options).map_err(wrong)?;
        Ok(options)
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    repository: String,
    password_file: Option<PathBuf>,
    password_command: Option<Vec<String>>,
    password_env: Option<String>,
    #[serde(default)]
    options: Options,
    options_file: Option<PathBuf>,
}

impl TryFrom<Written> for ResticConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let password = match (
            written.password_file,
            written.password_command,
            written.password_env,
        ) {
            (Some(file), None, None) => PasswordSource::File(file),
            (None, Some(command), None) if !command.is_empty() => PasswordSource::Command(command),
            (None, None, Some(name)) => PasswordSource::Variable(name),
            _ => {
                return Err(
                    "a restic source needs its password: give one of password_file, password_command and password_env"
                        .to_owned(),
                );
            }
        };
        let location = Location::parse(&written.repository)?;
        location.check(&written.options)?;
        Ok(ResticConfig {
            location,
            password,
            options: written.options,
            options_file: written.options_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ResticConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn one_password_is_wanted() {
        for (text, works) in [
            ("password_file = '/k'", true),
            ("password_command = ['pass', 'restic']", true),
            ("password_env = 'RESTIC_PASSWORD'", true),
            ("", false),
            ("password_command = []", false),
            ("password_env = 'A'\npassword_file = '/k'", false),
        ] {
            let read = parse(&format!("repository = '/srv/restic'\n{text}"));
            assert_eq!(read.is_ok(), works, "{text}: {read:?}");
        }
        let message =
            parse("repository = '/srv/restic'\npassword_file = '/k'\npasword = 'x'").unwrap_err();
        assert!(message.contains("pasword"), "{message}");
    }

    #[test]
    fn no_credential_is_shown() {
        let config = parse(
            "repository = 'rest:https://operator:s3cr3t-A@backup.example.com:8000/vms/'\npassword_env = 'P'\n\
             options = { cacert = '/s3cr3t-B' }",
        )
        .unwrap();
        let shown = format!("{config:?} {}", config.label());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert_eq!(config.label(), "rest:https://backup.example.com:8000/vms/");
        let config = parse(
            "repository = 's3:https://s3.example.com/bucket/vms'\npassword_env = 'P'\n\
             options = { access_key_id = 's3cr3t-A', secret_access_key = 's3cr3t-B', enable_virtual_host_style = true }",
        )
        .unwrap();
        let shown = format!("{config:?} {}", config.label());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(shown.contains("secret_access_key"), "{shown}");
        assert_eq!(
            config.options.get("enable_virtual_host_style").as_deref(),
            Some("true")
        );
    }
}
