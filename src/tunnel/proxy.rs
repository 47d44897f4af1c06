//! The HTTPS proxy that the environment names, and CONNECT through it (RFC 9110 §9.3.6).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::address::split_host_port;

/// Bytes. A proxy's answer to CONNECT is a status line and a few headers.
const MAX_HEAD: usize = 16 * 1024;

/// A proxy that carries TLS by CONNECT.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of Proxy-Authorization.
    authorization: Option<Zeroizing<String>>,
}

/// What is wrong with the proxy, or with what it said.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The environment holds something that we cannot use.
    #[error("the proxy in the environment is not of the form http://HOST:PORT")]
    NotAProxy,
    /// It did not open the way.
    #[error("it answered {0:?}")]
    Refused(String),
    /// What came back is not HTTP.
    #[error("it does not answer in HTTP")]
    NotHttp,
    /// The connection to it broke.
    #[error("{0}")]
    Lost(#[from] std::io::Error),
}

impl Proxy {
    /// The proxy for `host`, if the environment (`variable` looks a name up) has one for it.
    ///
    /// # Errors
    /// There is one, but it cannot be understood. Going without it might be what its owner wants to prevent.
    pub(super) fn for_host(
        host: &str,
        port: u16,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ProxyError> {
        let first_of = |names: &[&str]| {
            names
                .iter()
                .filter_map(|name| variable(name))
                .find(|value| !value.is_empty())
        };
        let Some(url) = first_of(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
            return Ok(None);
        };
        let exempt = first_of(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        if is_loopback(host) || is_exempt(host, port, &exempt) {
            return Ok(None);
        }
        Self::parse(&url).map(Some)
    }

    /// `http://[USER:PASSWORD@]HOST[:PORT][/]`, the scheme may be missing.
    fn parse(url: &str) -> Result<Self, ProxyError> {
        let rest = match url.split_once("://") {
            Some(("http" | "HTTP", rest)) => rest,
            Some(_) => return Err(ProxyError::NotAProxy),
            None => url,
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = split_host_port(address, 3128).ok_or(ProxyError::NotAProxy)?;
        let authorization = user.map(|user| {
            let plain = Zeroizing::new(percent_decode(user));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(plain.as_slice())))
        });
        Ok(Self {
            host,
            port,
            authorization,
        })
    }

    /// Asks the proxy at the other end of `stream` for a way to `host:port`.
    pub(super) async fn open<S>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), ProxyError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let mut request = Zeroizing::new(format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        ));
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let head = read_head(stream).await?;
        let status = head.lines().next().unwrap_or_default().trim_end();
        let code = status
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5));
        match code {
            Some(code) if code.starts_with('2') => Ok(()),
            Some(_) => Err(ProxyError::Refused(status.to_owned())),
            None => Err(ProxyError::NotHttp),
        }
    }
}

/// Reads to the empty line and not a byte further: what follows is the server's.
async fn read_head<S>(stream: &mut S) -> Result<String, ProxyError>
where
    S: AsyncRead + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err(ProxyError::NotHttp);
        }
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(|_| ProxyError::NotHttp)
}

/// No proxy can reach our loopback.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// `no_proxy`: a list of hosts and domains, with or without a leading dot and a port; `*` for all.
fn is_exempt(host: &str, port: u16, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split([',', ' '])
        .map(|entry| entry.trim().to_ascii_lowercase())
        .any(|entry| {
            if entry == "*" {
                return true;
            }
            let Some((name, only_port)) = split_host_port(&entry, port) else {
                // An IPv6 address without brackets.
                return !entry.is_empty() && entry == host;
            };
            let domain = name.trim_start_matches('.');
            let inside = host
                .strip_suffix(domain)
                .is_some_and(|front| front.is_empty() || front.ends_with('.'));
            only_port == port && !domain.is_empty() && inside
        })
}

/// `%41` is `A` (RFC 3986 §2.1); anything else stays as it is.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn the_environment_names_the_proxy() {
        let proxy = |pairs| {
            Proxy::for_host("recovery.example.com", 3260, environment(pairs))
                .unwrap()
                .map(|proxy| (proxy.host, proxy.port))
        };
        assert_eq!(proxy(&[]), None);
        assert_eq!(proxy(&[("https_proxy", "")]), None);
        assert_eq!(
            proxy(&[("HTTPS_PROXY", "http://proxy:8080/")]),
            Some(("proxy".into(), 8080))
        );
        assert_eq!(
            proxy(&[
                ("https_proxy", "[2001:db8::1]"),
                ("HTTPS_PROXY", "http://other")
            ]),
            Some(("2001:db8::1".into(), 3128))
        );
        assert_eq!(
            proxy(&[
                ("https_proxy", "http://p:1"),
                ("no_proxy", "a.b, example.com")
            ]),
            None
        );
    }

    #[test]
    fn a_proxy_that_we_cannot_use_is_not_passed_by() {
        for url in [
            "socks5://p:1",
            "https://p:1",
            "http://",
            "http://p:0",
            "http://p:x",
        ] {
            assert!(Proxy::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn exemptions() {
        let exempt = |list| is_exempt("recovery.example.com", 3260, list);
        assert!(exempt("*") && exempt("recovery.example.com") && exempt("x,.example.com"));
        assert!(exempt("EXAMPLE.com:3260") && exempt("com"));
        assert!(!exempt("") && !exempt("ample.com") && !exempt("example.com:443") && !exempt("."));
        assert!(is_exempt("2001:db8::1", 3260, "2001:db8::1"));
        assert!(is_loopback("127.0.0.1") && is_loopback("::1") && is_loopback("LocalHost"));
    }

    #[tokio::test]
    async fn connect_leaves_the_servers_bytes_alone() {
        let proxy = Proxy::parse("http://me:p%40ss%3a@proxy:8080").unwrap();
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        let peer = tokio::spawn(async move {
            let request = read_head(&mut theirs).await.unwrap();
            let answer = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nTLS";
            theirs.write_all(answer).await.unwrap();
            request
        });
        proxy.open(&mut ours, "::1", 3260).await.unwrap();
        let mut rest = String::new();
        ours.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "TLS");
        assert_eq!(
            peer.await.unwrap(),
            "CONNECT [::1]:3260 HTTP/1.1\r\nHost: [::1]:3260\r\nProxy-Authorization: Basic bWU6cEBzczo=\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_refusal_is_told() {
        for (answer, wanted) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
            ("SSH-2.0-x\r\n\r\n", "HTTP"),
        ] {
            let (mut ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(answer.as_bytes()).await.unwrap();
            let proxy = Proxy::parse("proxy").unwrap();
            let error = proxy.open(&mut ours, "host", 1).await.unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }
}
