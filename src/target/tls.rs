//! TLS on every listener: one handshake, then the data plane or the control plane.

use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{Acceptor, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{DistinguishedName, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::limits::{LINGER_BYTES, LINGER_TIME, TLS_BUFFER};
use super::verifier::{Stranger, Verifier};
use crate::grant::{Grants, LiveGrant, Refusal};
use crate::metrics::Refused;

/// The ALPN name of the data plane.
pub const ALPN_ISCSI: &[u8] = b"iscsi";
/// The ALPN names of the control plane, the preferred one first.
const ALPN_CONTROL: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What the listeners prove themselves with, and whom they ask about client certificates.
#[derive(Clone)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    server: Arc<dyn ResolvesServerCert>,
    issuers: Arc<[DistinguishedName]>,
    grants: Arc<Grants>,
}

/// A finished handshake.
pub(super) struct Handshake<S> {
    /// In a box: it is moved several times, and larger than everything else of a connection.
    pub(super) stream: Box<TlsStream<S>>,
    pub(super) plane: Plane,
}

/// What the client came for.
pub(super) enum Plane {
    /// iSCSI, with this grant's certificate.
    Data(Arc<LiveGrant>),
    /// HTTP; the grant whose certificate was presented, if one was.
    Control(Option<Arc<LiveGrant>>),
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// It was not done in time.
    #[error("the TLS handshake took too long")]
    Slow,
    /// The client's certificate was refused.
    #[error("the client certificate was refused: {}", .0.why)]
    Refused(Stranger),
    /// The peer does not speak our TLS, or went away.
    #[error("the TLS handshake failed: {0}")]
    Failed(#[source] io::Error),
}

impl From<&HandshakeError> for Refused {
    fn from(error: &HandshakeError) -> Self {
        let error = match error {
            HandshakeError::Slow => return Self::TlsSlow,
            HandshakeError::Refused(stranger) => {
                return match stranger.why {
                    Refusal::Revoked => Self::TlsRevoked,
                    Refusal::Expired => Self::TlsExpired,
                    Refusal::Unknown => Self::TlsUnknownIssuer,
                };
            }
            HandshakeError::Failed(error) => error.get_ref(),
        };
        let error = error.and_then(|error| error.downcast_ref::<rustls::Error>());
        match error {
            None => Self::TlsLost,
            Some(rustls::Error::PeerIncompatible(_)) => Self::TlsIncompatible,
            Some(rustls::Error::NoApplicationProtocol) => Self::TlsAlpn,
            Some(rustls::Error::NoCertificatesPresented) => Self::TlsNoCertificate,
            Some(rustls::Error::InvalidCertificate(_)) => Self::TlsBadCertificate,
            Some(rustls::Error::AlertReceived(_)) => Self::TlsAlert,
            Some(_) => Self::TlsBroken,
        }
    }
}

impl Tls {
    /// Listeners that show `chain` with `key`, and take client certificates of `grants`, issued by `grant_ca`.
    ///
    /// # Errors
    /// The key does not fit the certificate, or one of them cannot be parsed.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        grant_ca: CertificateDer<'static>,
        grants: Arc<Grants>,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider)?;
        let mut issuers = RootCertStore::empty();
        issuers.add(grant_ca)?;
        Ok(Self {
            provider,
            server: Arc::new(SingleCertAndKey::from(certified)),
            issuers: issuers.subjects().into(),
            grants,
        })
    }

    /// Does the handshake until `deadline`. The client's ALPN list picks the plane; without one, the certificate does.
    pub(super) async fn accept<S>(
        &self,
        stream: S,
        deadline: Instant,
    ) -> Result<Handshake<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let start = match timeout_at(deadline, &mut hello).await {
            Err(_) => return Err(HandshakeError::Slow),
            Ok(Ok(start)) => start,
            Ok(Err(error)) => {
                if let Some(stream) = hello.take_io() {
                    linger(stream).await;
                }
                return Err(HandshakeError::Failed(error));
            }
        };
        let wants_iscsi = start
            .client_hello()
            .alpn()
            .is_some_and(|mut names| names.any(|name| name == ALPN_ISCSI));
        let verifier = Arc::new(self.verifier(wants_iscsi));
        let config = self
            .config(Arc::clone(&verifier), wants_iscsi)
            .map_err(|error| HandshakeError::Failed(io::Error::other(error)))?;
        let finishing = start
            .into_stream_with(Arc::new(config), |session| {
                session.set_buffer_limit(Some(TLS_BUFFER));
            })
            .into_fallible();
        match timeout_at(deadline, finishing).await {
            Err(_) => Err(HandshakeError::Slow),
            Ok(Ok(stream)) => Ok(handshake(stream, &verifier)),
            Ok(Err((error, stream))) => {
                linger(stream).await;
                Err(match verifier.found() {
                    Some(Err(stranger)) => HandshakeError::Refused(stranger.clone()),
                    _ => HandshakeError::Failed(error),
                })
            }
        }
    }

    fn verifier(&self, mandatory: bool) -> Verifier {
        Verifier::new(
            Arc::clone(&self.grants),
            Arc::clone(&self.issuers),
            self.provider.signature_verification_algorithms,
            mandatory,
        )
    }

    /// A configuration for one handshake, so that its verifier can tell whose certificate it saw.
    fn config(
        &self,
        verifier: Arc<Verifier>,
        wants_iscsi: bool,
    ) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&self.server));
        // A resumed session would skip the certificate, and with it the grant's state.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = if wants_iscsi {
            vec![ALPN_ISCSI.to_vec()]
        } else {
            ALPN_CONTROL.map(<[u8]>::to_vec).to_vec()
        };
        Ok(config)
    }
}

fn handshake<S>(stream: TlsStream<S>, verifier: &Verifier) -> Handshake<S> {
    let grant = match verifier.found() {
        Some(Ok(grant)) => Some(Arc::clone(grant)),
        _ => None,
    };
    let plane = match (stream.get_ref().1.alpn_protocol(), grant) {
        // .NET Framework and stunnel cannot send ALPN: the certificate says what they want.
        (Some(ALPN_ISCSI) | None, Some(grant)) => Plane::Data(grant),
        (_, grant) => Plane::Control(grant),
    };
    Handshake {
        stream: Box::new(stream),
        plane,
    }
}

/// Ends our side and reads on for a moment. Closing with unread input sends a reset, and a reset may overtake the alert that
/// tells the client why.
pub(super) async fn linger<S>(mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let drain = async {
        stream.shutdown().await?;
        let mut waste = [0; 1024];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut waste).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // Slow or gone: either way it is over.
    let _ = timeout(LINGER_TIME, drain).await;
}
