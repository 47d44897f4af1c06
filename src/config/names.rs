//! Names in the configuration: hosts, portals, sites.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Characters of a site label: it is part of a script's file name.
pub(super) const MAX_SITE: usize = 32;

/// `HOST:PORT` that scripts connect to, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portal {
    /// DNS name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Portal {
    /// `HOST:PORT`, `[V6]:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().ok()?.to_string(),
            None if is_host(host) && !host.contains(':') => host.to_owned(),
            None => return None,
        };
        Some(Self { host, port })
    }
}

/// Is `text` a DNS name (RFC 1123 §2.1) or an address?
pub fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(is_label))
}

/// Is `text` fit to be a site label?
pub fn is_site(text: &str) -> bool {
    (1..=MAX_SITE).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        && !text.starts_with(['-', '.'])
}

/// The machine's host name; `localhost` if it has none that a certificate can hold.
pub fn machine_name() -> String {
    let uname = rustix::system::uname();
    uname
        .nodename()
        .to_str()
        .ok()
        .filter(|name| is_host(name))
        .map_or_else(|| "localhost".into(), str::to_owned)
}
