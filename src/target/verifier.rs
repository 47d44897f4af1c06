//! Ties a TLS client certificate to a grant.
//!
//! A grant's certificate is known by its bytes: the server issued it and keeps it in memory with the grant, so no
//! chain is built and no revocation list is asked. The grant's state is the authority, at every handshake.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::grant::{GrantRecord, Grants, LiveGrant, Refusal};

/// Verifies the client certificate of one handshake and remembers whose it was.
pub(super) struct Verifier {
    grants: Arc<Grants>,
    /// Which issuers the client should pick a certificate of: the grant CA.
    issuers: Arc<[DistinguishedName]>,
    signatures: WebPkiSupportedAlgorithms,
    mandatory: bool,
    found: OnceLock<Result<Arc<LiveGrant>, Stranger>>,
}

/// What is known of a certificate that was refused.
#[derive(Clone, Debug)]
pub(super) struct Stranger {
    pub(super) why: Refusal,
    /// The grant that the certificate once opened.
    pub(super) record: Option<Arc<GrantRecord>>,
}

impl Verifier {
    pub(super) fn new(
        grants: Arc<Grants>,
        issuers: Arc<[DistinguishedName]>,
        signatures: WebPkiSupportedAlgorithms,
        mandatory: bool,
    ) -> Self {
        Self {
            grants,
            issuers,
            signatures,
            mandatory,
            found: OnceLock::new(),
        }
    }

    /// The grant whose certificate was presented, or why it was refused; `None` when none was presented.
    pub(super) fn found(&self) -> Option<&Result<Arc<LiveGrant>, Stranger>> {
        self.found.get()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.issuers
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // "an [InvalidCertificate] error with the [BadEncoding] variant" makes the alert `bad_certificate`.
        ParsedCertificate::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let found = self
            .grants
            .by_certificate(end_entity)
            .map_err(|why| Stranger {
                why,
                record: self.grants.record_of_certificate(end_entity),
            });
        let verdict = match &found {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(stranger) => Err(Error::InvalidCertificate(certificate_error(stranger.why))),
        };
        // One handshake presents one certificate.
        let _ = self.found.set(found);
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.signatures)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.signatures)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("mandatory", &self.mandatory)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

/// The error whose alert (rustls: `From<CertificateError> for AlertDescription`) says why.
fn certificate_error(why: Refusal) -> CertificateError {
    match why {
        Refusal::Revoked => CertificateError::Revoked,
        Refusal::Expired => CertificateError::Expired,
        Refusal::Unknown => CertificateError::UnknownIssuer,
    }
}
