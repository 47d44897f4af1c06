//! From a bundle to a TLS stream: through a proxy if need be, to the pinned server, as the grant's client.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::split_host_port;
use super::bundle::Bundle;
use super::proxy::{Proxy, ProxyError};
use crate::target::ALPN_ISCSI;

/// For TCP, the proxy and the TLS handshake together.
const CONNECT_TIME: Duration = Duration::from_secs(15);

/// For the answer of the control plane.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// Bytes. The control plane's answer about one grant is far smaller.
const MAX_ANSWER: u64 = 64 * 1024;

/// What the server's port is when the bundle names none.
const DEFAULT_PORT: u16 = 3260;

/// The control plane, over the simplest HTTP.
const ALPN_HTTP: &[u8] = b"http/1.1";

/// Connects to a grant's server.
#[derive(Clone)]
pub struct Connector {
    host: String,
    port: u16,
    server_name: ServerName<'static>,
    proxy: Option<Proxy>,
    iscsi: TlsConnector,
    http: TlsConnector,
}

/// Why there is no connection. Each names what failed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A field of the bundle does not hold what it should.
    #[error("the bundle's {field} cannot be used ({why}); make a new bundle")]
    Bundle {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The proxy in the environment.
    #[error("the proxy cannot be used: {0}; check https_proxy and no_proxy")]
    Proxy(#[from] ProxyError),
    /// Nobody answers.
    #[error(
        "cannot reach {address}: {why}; check the address, the firewall and the proxy settings"
    )]
    Unreachable {
        /// The server or the proxy.
        address: String,
        /// What the system said.
        why: String,
    },
    /// The server is not the one that the bundle is for.
    #[error(
        "{address} is not the server of this bundle ({why}); somebody may be in between, or the server has a new certificate: make a new bundle"
    )]
    WrongServer {
        /// The server.
        address: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// An operator ended the grant.
    #[error("the grant was revoked; ask for a new one")]
    Revoked,
    /// Its time ran out.
    #[error("the grant has expired; ask for a new one")]
    Expired,
    /// The server does not know the grant.
    #[error("the server does not know this grant; was the bundle made by another server?")]
    Unknown,
    /// TLS failed in another way.
    #[error("no TLS connection with {address}: {why}")]
    Tls {
        /// The server.
        address: String,
        /// What went wrong.
        why: String,
    },
}

impl Connector {
    /// Takes what it needs out of a bundle, and the proxy out of the environment (`variable` looks a name up).
    ///
    /// # Errors
    /// [`ConnectError::Bundle`], [`ConnectError::Proxy`].
    pub fn new(
        bundle: &Bundle,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConnectError> {
        let (host, port) = split_host_port(&bundle.portal, DEFAULT_PORT)
            .ok_or_else(|| unusable("portal", &"it is not HOST:PORT"))?;
        let server_name = ServerName::try_from(bundle.server_name.clone())
            .map_err(|error| unusable("server_name", &error))?;
        Ok(Self {
            proxy: Proxy::for_host(&host, port, variable)?,
            iscsi: connector(bundle, ALPN_ISCSI)?,
            http: connector(bundle, ALPN_HTTP)?,
            host,
            port,
            server_name,
        })
    }

    /// A connection to the data plane. Under TLS 1.3 a refusal of our certificate may come later, with the first read:
    /// give that error to [`Connector::explain`].
    ///
    /// # Errors
    /// As [`ConnectError`] says.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, ConnectError> {
        self.handshake(&self.iscsi).await
    }

    /// Asks the server whether the grant may be used.
    ///
    /// # Errors
    /// It may not, or the server cannot be reached.
    pub async fn check(&self) -> Result<(), ConnectError> {
        let mut stream = self.handshake(&self.http).await?;
        let host = self.address();
        let request =
            format!("GET /api/v1/grant/self HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            // A peer may end without close_notify; what counts is the status line.
            match (&mut stream)
                .take(MAX_ANSWER)
                .read_to_end(&mut answer)
                .await
            {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
                _ => Ok(()),
            }
        };
        match timeout(ANSWER_TIME, exchange).await {
            Err(_) => Err(self.unreachable(&"it does not answer")),
            Ok(Err(error)) => Err(self.explain(&error)),
            Ok(Ok(())) if answer.starts_with(b"HTTP/1.1 200") => Ok(()),
            Ok(Ok(())) => Err(ConnectError::Unknown),
        }
    }

    /// What an error of a connected stream means.
    pub fn explain(&self, error: &io::Error) -> ConnectError {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => match alert {
                AlertDescription::CertificateRevoked => ConnectError::Revoked,
                AlertDescription::CertificateExpired => ConnectError::Expired,
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::AccessDenied => ConnectError::Unknown,
                _ => ConnectError::Tls {
                    address: self.address(),
                    why: format!("the server says {alert:?}"),
                },
            },
            Some(error @ rustls::Error::InvalidCertificate(_)) => ConnectError::WrongServer {
                address: self.address(),
                why: error.to_string(),
            },
            Some(error) => ConnectError::Tls {
                address: self.address(),
                why: error.to_string(),
            },
            None => self.unreachable(error),
        }
    }

    /// `HOST:PORT` of the server.
    pub fn address(&self) -> String {
        address_of(&self.host, self.port)
    }

    async fn handshake(&self, tls: &TlsConnector) -> Result<TlsStream<TcpStream>, ConnectError> {
        let connecting = async {
            let tcp = self.reach().await?;
            tls.connect(self.server_name.clone(), tcp)
                .await
                .map_err(|error| self.explain(&error))
        };
        timeout(CONNECT_TIME, connecting)
            .await
            .unwrap_or_else(|_| Err(self.unreachable(&"it does not answer")))
    }

    /// TCP, and the proxy's CONNECT.
    async fn reach(&self) -> Result<TcpStream, ConnectError> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (self.host.as_str(), self.port),
        };
        let unreachable = |error: io::Error| ConnectError::Unreachable {
            address: address_of(host, port),
            why: error.to_string(),
        };
        let mut stream = TcpStream::connect((host, port))
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        if let Some(proxy) = &self.proxy {
            proxy.open(&mut stream, &self.host, self.port).await?;
        }
        Ok(stream)
    }

    fn unreachable(&self, why: &dyn ToString) -> ConnectError {
        ConnectError::Unreachable {
            address: self.address(),
            why: why.to_string(),
        }
    }
}

/// The server's certificate must be of the bundle's CA alone; we show the grant's.
fn connector(bundle: &Bundle, alpn: &[u8]) -> Result<TlsConnector, ConnectError> {
    let ca = CertificateDer::from_pem_slice(bundle.ca_pem.as_bytes())
        .map_err(|error| unusable("ca_pem", &error))?;
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(|error| unusable("ca_pem", &error))?;
    let chain = CertificateDer::pem_slice_iter(bundle.client_cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable("client_cert_pem", &error))?;
    let key = PrivateKeyDer::from_pem_slice(bundle.client_key_pem.reveal().as_bytes())
        .map_err(|error| unusable("client_key_pem", &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("ca_pem", &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable("client_cert_pem", &error))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    // The server gives none: each handshake is checked.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn unusable(field: &'static str, why: &dyn ToString) -> ConnectError {
    ConnectError::Bundle {
        field,
        why: why.to_string(),
    }
}

fn address_of(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
