//! Options of a repository's storage: names and values, some of which are credentials.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// Of a REST server.
pub(super) const REST_OPTIONS: &[&str] = &["username", "password", "cacert"];

/// Of S3, as OpenDAL names them.
pub(super) const S3_OPTIONS: &[&str] = &[
    "endpoint",
    "bucket",
    "root",
    "region",
    "profile",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "role_arn",
    "external_id",
    "role_session_name",
    "assume_role_duration_seconds",
    "disable_config_load",
    "skip_signature",
    "allow_anonymous",
    "enable_virtual_host_style",
    "enable_request_payer",
    "server_side_encryption_customer_algorithm",
    "server_side_encryption_customer_key",
    "server_side_encryption_customer_key_md5",
];

/// Of Azure Blob, as OpenDAL names them.
pub(super) const AZURE_OPTIONS: &[&str] = &[
    "endpoint",
    "container",
    "root",
    "account_name",
    "account_key",
    "sas_token",
    "encryption_key",
    "encryption_key_sha256",
    "encryption_algorithm",
];

/// Of SFTP, as OpenDAL names them.
pub(super) const SFTP_OPTIONS: &[&str] =
    &["endpoint", "root", "user", "key", "known_hosts_strategy"];

/// Options of the storage by name. A value may be a credential: none is ever shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Options(BTreeMap<String, Value>);

/// As TOML has it: `true` and `"true"` are the same.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "an option must be a text, a number, true or false"
)]
enum Value {
    Text(String),
    Number(u64),
    Switch(bool),
}

impl Options {
    /// The value of an option.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(Value::text)
    }

    /// These options and more, which go before.
    pub(super) fn with(&self, more: Options) -> Options {
        let mut all = self.0.clone();
        all.extend(more.0);
        Options(all)
    }

    /// Every option as text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.text()))
    }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Switch(switch) => switch.to_string(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
