//! `itemlift.toml`.

mod error;
mod first;
mod names;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Deserializer};

pub use self::error::ConfigError;
use self::error::{line_of, line_of_key};
pub use self::first::first_config;
use self::names::MAX_SITE;
pub use self::names::{Portal, is_host, is_site, machine_name};
use crate::point::{CACHE_BYTES, MIN_CACHE_BYTES, SourceConfig};

/// Listeners at most. More is a mistake in the file.
const MAX_LISTENERS: usize = 16;

/// The port that scripts are told when nothing else is configured.
const DEFAULT_PORT: u16 = 3260;

/// The configuration of a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A short name of this place, part of each mount script's name.
    #[serde(default = "local")]
    pub site: String,
    /// Addresses that speak TLS, both planes on each.
    #[serde(default = "default_listen", deserialize_with = "addresses")]
    pub listen: Vec<SocketAddr>,
    /// `HOST:PORT` that scripts connect to.
    pub advertise: Option<String>,
    /// Names and addresses that the server's certificate is for, besides localhost and the one advertised.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// iSCSI without TLS, on a loopback address.
    #[serde(default, deserialize_with = "address")]
    pub plain: Option<SocketAddr>,
    /// `HOST:PORT` that discovery names. Without it initiators stay at the address that they came by, such as a tunnel's.
    pub target_address: Option<String>,
    /// Memory for index tables and decoded data of all disks, in bytes.
    #[serde(default = "default_cache_bytes")]
    pub cache_bytes: usize,
    /// CHAP.
    #[serde(default)]
    pub chap: Chap,
    /// Where recovery points come from.
    #[serde(default)]
    pub source: Vec<SourceConfig>,
}

/// `[chap]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table: [chap] with md5 = true or false"
)]
pub struct Chap {
    /// Whether MD5 may be used. Initiators before Linux 5.11 and Windows know nothing else.
    #[serde(default = "yes")]
    pub md5: bool,
}

impl Default for Chap {
    fn default() -> Self {
        Self { md5: true }
    }
}

fn yes() -> bool {
    true
}

fn local() -> String {
    "local".into()
}

fn default_cache_bytes() -> usize {
    CACHE_BYTES
}

fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts: Vec<String> = Deserialize::deserialize(from)?;
    texts.iter().map(|text| socket_address(text)).collect()
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text: String = Deserialize::deserialize(from)?;
    socket_address(&text).map(Some)
}

fn socket_address<E: serde::de::Error>(text: &str) -> Result<SocketAddr, E> {
    let wrong = |_| {
        E::custom(format!(
            "{text:?} is not ADDRESS:PORT; write it as \"0.0.0.0:{DEFAULT_PORT}\" or \"[::]:{DEFAULT_PORT}\""
        ))
    };
    text.parse().map_err(wrong)
}

fn default_listen() -> Vec<SocketAddr> {
    vec![SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT))]
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// It cannot be read, holds something unknown, or asks for what is not allowed.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            path: path.to_owned(),
            line: None,
            what: format!("the file cannot be read: {error}"),
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a configuration file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError {
            path: path.to_owned(),
            line: error.span().map(|span| line_of(text, span.start)),
            what: error.message().replace('\n', ", "),
        })?;
        match config.fault() {
            None => Ok(config),
            Some((key, what)) => Err(ConfigError {
                path: path.to_owned(),
                line: line_of_key(text, key),
                what,
            }),
        }
    }

    /// The first thing in the file that is not allowed: its key and the sentence to say.
    fn fault(&self) -> Option<(&'static str, String)> {
        if !is_site(&self.site) {
            return Some((
                "site",
                format!(
                    "site {:?} cannot be part of a file name; use up to {MAX_SITE} letters, digits, '-' and '.'",
                    self.site
                ),
            ));
        }
        let distinct: BTreeSet<_> = self.listen.iter().chain(&self.plain).collect();
        if self.listen.is_empty() || self.listen.len() > MAX_LISTENERS {
            return Some((
                "listen",
                format!(
                    "listen has {} addresses; name 1 to {MAX_LISTENERS}",
                    self.listen.len()
                ),
            ));
        }
        if distinct.len() < self.listen.len() + usize::from(self.plain.is_some()) {
            return Some((
                "listen",
                "an address is listened on twice; name each once".into(),
            ));
        }
        if let Some(plain) = self.plain
            && !plain.ip().is_loopback()
        {
            return Some((
                "plain",
                format!(
                    "plain = \"{plain}\" would carry disk contents over the network without TLS; \
                     use a loopback address such as 127.0.0.1:{}, and listen for everything else",
                    plain.port()
                ),
            ));
        }
        for (key, value) in [
            ("advertise", &self.advertise),
            ("target_address", &self.target_address),
        ] {
            if let Some(value) = value
                && Portal::parse(value).is_none()
            {
                return Some((
                    key,
                    format!(
                        "{key} = {value:?} is not HOST:PORT; write it as \"recovery.example.com:3260\""
                    ),
                ));
            }
        }
        if self.cache_bytes < MIN_CACHE_BYTES {
            return Some((
                "cache_bytes",
                format!(
                    "cache_bytes = {} is too little to read compressed disks with; name {MIN_CACHE_BYTES} bytes or more",
                    self.cache_bytes
                ),
            ));
        }
        let host = self.hosts.iter().find(|host| !is_host(host))?;
        Some((
            "hosts",
            format!(
                "hosts holds {host:?}, which is neither a DNS name nor an address; correct or remove it"
            ),
        ))
    }

    /// What scripts connect to: `advertise`; else the first listener, by the machine's name if it listens everywhere.
    pub fn portal(&self) -> Portal {
        if let Some(portal) = self.advertise.as_deref().and_then(Portal::parse) {
            return portal;
        }
        match self.listen.first() {
            Some(listen) if !listen.ip().is_unspecified() => Portal {
                host: listen.ip().to_string(),
                port: listen.port(),
            },
            listen => Portal {
                host: machine_name(),
                port: listen.map_or(DEFAULT_PORT, SocketAddr::port),
            },
        }
    }

    /// What the server's certificate must be for, localhost aside.
    pub fn certificate_hosts(&self) -> Vec<String> {
        let mut hosts = vec![self.portal().host];
        for host in &self.hosts {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("itemlift.toml"))
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_first_config_is_valid_and_says_what_init_was_told() {
        let config = parse(&first_config("berlin", &["recovery.example.com".into()])).unwrap();
        assert_eq!(config.site, "berlin");
        assert_eq!(config.portal().to_string(), "recovery.example.com:3260");
        assert_eq!(config.certificate_hosts(), ["recovery.example.com"]);
        assert!(config.chap.md5);
        assert_eq!(config.cache_bytes, 268_435_456);
        let config_of = |text| parse(text).unwrap().cache_bytes;
        assert_eq!(config_of("cache_bytes = 33_554_432"), 33_554_432);
        let config = parse(&first_config("local", &[])).unwrap();
        assert_eq!(config.portal().host, machine_name());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let message = message("site = \"a\"\n\nlisten_on = [\"0.0.0.0:1\"]\n");
        assert!(message.contains("line 3"), "{message}");
        assert!(message.contains("listen_on"), "{message}");
        assert!(
            message.contains("advertise"),
            "names what it could be: {message}"
        );
    }

    #[test]
    fn an_address_that_is_none_is_shown_with_its_form() {
        let told = message("listen = [\"127.0.0.1:3260\", \"localhost:3260\"]");
        assert!(
            told.contains("line 1") && told.contains("\"localhost:3260\" is not ADDRESS:PORT"),
            "{told}"
        );
        let told = message("site = \"a\"\nplain = \"3261\"");
        assert!(told.contains("line 2: \"3261\" is not"), "{told}");
        let told = message("chap = \"md5\"");
        assert!(told.contains("[chap] with md5 = true or false"), "{told}");
    }

    #[test]
    fn an_unknown_key_of_a_table_is_named_with_its_line() {
        let message = message("[chap]\nmd4 = true\n");
        assert!(
            message.contains("line 2") && message.contains("md4"),
            "{message}"
        );
    }

    #[test]
    fn a_plain_listener_must_be_on_loopback() {
        let message = message("site = \"a\"\nplain = \"192.0.2.1:3261\"\n");
        assert!(message.contains("line 2"), "{message}");
        assert!(
            message.contains("loopback") && message.contains("TLS"),
            "{message}"
        );
        assert!(parse("plain = \"0.0.0.0:3261\"").is_err());
        assert!(parse("plain = \"[::]:3261\"").is_err());
        assert!(parse("plain = \"127.0.0.1:3261\"").is_ok());
        assert!(parse("plain = \"[::1]:3261\"").is_ok());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for text in [
            "site = \"\"",
            "site = \"a/b\"",
            "site = \"..\"",
            "listen = []",
            "listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
            "listen = [\"127.0.0.1:1\"]\nplain = \"127.0.0.1:1\"",
            "listen = [\"localhost\"]",
            "advertise = \"example.com\"",
            "advertise = \"example.com:0\"",
            "advertise = \"exa mple.com:1\"",
            "advertise = \"example.com:1\\n# evil\"",
            "advertise = \"::1:3260\"",
            "target_address = \"example.com\"",
            "hosts = [\"a b\"]",
            "cache_bytes = 33554431",
            "cache_bytes = -1",
            "cache_bytes = \"256 MiB\"",
            "site = 1",
            "site = ",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_portal_is_derived_when_none_is_advertised() {
        let portal = |text| parse(text).unwrap().portal().to_string();
        assert_eq!(portal("listen = [\"192.0.2.7:443\"]"), "192.0.2.7:443");
        assert_eq!(
            portal("listen = [\"[2001:db8::1]:443\"]"),
            "[2001:db8::1]:443"
        );
        assert_eq!(portal("advertise = \"[::1]:443\""), "[::1]:443");
        let everywhere = format!("{}:8443", machine_name());
        assert_eq!(portal("listen = [\"[::]:8443\"]"), everywhere);
    }
}
