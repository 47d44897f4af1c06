//! Where the server is: `host:port`, and what may stand for a host.

/// Host and port; an IPv6 address stands in brackets and comes back without them.
pub(crate) fn split_portal(portal: &str) -> Option<(&str, u16)> {
    let (host, port) = portal.rsplit_once(':')?;
    let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .filter(|address| address.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|host| is_host(host) && !host.contains(':'))?,
    };
    Some((host, port))
}

/// A DNS name (RFC 1123 §2.1, with `_`, which some networks use) or an address.
pub(crate) fn is_host(host: &str) -> bool {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portals() {
        assert_eq!(
            split_portal("recovery.example.com:3260"),
            Some(("recovery.example.com", 3260))
        );
        assert_eq!(
            split_portal("[2001:db8::1]:443"),
            Some(("2001:db8::1", 443))
        );
        for wrong in [
            "",
            "host",
            "host:0",
            "host:70000",
            "a b:1",
            "2001:db8::1:443",
            "[host]:1",
            "$(id):1",
            "h\n:1",
        ] {
            assert_eq!(split_portal(wrong), None, "{wrong:?}");
        }
    }
}
