//! `HOST:PORT` as people write it.

/// `HOST:PORT`, `[V6]:PORT`, or a host alone with `default` as its port.
pub(super) fn split_host_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return None,
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => default,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let split = |text| split_host_port(text, 3260);
        assert_eq!(
            split("recovery.example.com:443"),
            Some(("recovery.example.com".into(), 443))
        );
        assert_eq!(
            split("[2001:db8::1]:443"),
            Some(("2001:db8::1".into(), 443))
        );
        assert_eq!(split("[::1]"), Some(("::1".into(), 3260)));
        assert_eq!(split("host"), Some(("host".into(), 3260)));
        for bad in [
            "",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "::1",
            "[::1]443",
            "[::1",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
