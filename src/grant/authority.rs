//! The server's certificates: its own CA, the grant CA and the key that signs mount scripts.

use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, RsaKeySize, SerialNumber, SigningKey as _,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::credentials::{self, NoRandomness};
use super::live::GrantId;
use super::record::Fingerprint;
use crate::state_dir::{StateDir, StateDirError, io_error, write_new};

const GRANT_CA: &str = "grant-ca";
const SIGNING: &str = "signing";
const SERVER_CA: &str = "ca";

/// Years that a CA lasts.
const CA_YEARS: i64 = 20;

/// Years that the other certificates last. A client certificate outlives its grant by far on purpose:
/// whether it may be used is decided by the grant's state at each handshake, and renewals must not need a new script.
const LEAF_YEARS: i64 = 10;

/// Why certificates could not be made or loaded.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// A key or a certificate could not be made or is not readable.
    #[error("cannot make or read a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate file that holds none.
    #[error("{0} holds no certificate or key in PEM")]
    Pem(String),
    /// The generator failed.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The clock is far off.
    #[error("the system clock shows a year that certificates cannot have")]
    Clock,
}

/// What a mount script identifies itself with.
pub struct ClientIdentity {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM, PKCS #8. Not kept by the server.
    pub key_pem: Zeroizing<String>,
    /// Of the certificate.
    pub fingerprint: Fingerprint,
}

/// The server's keys and certificates.
pub struct Authority {
    ca_pem: String,
    ca_issuer: Issuer<'static, KeyPair>,
    grant_ca: CertificateDer<'static>,
    grant_issuer: Issuer<'static, KeyPair>,
    signing_certificate: CertificateDer<'static>,
    signing_key: KeyPair,
}

impl Authority {
    /// Makes all keys and certificates below `state`.
    ///
    /// # Errors
    /// A file cannot be written; no randomness.
    pub fn create(state: &StateDir, now: Timestamp) -> Result<(), AuthorityError> {
        // Servers' CAs are told apart by name where a trust store holds several.
        let tag: String = credentials::random::<4>()?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (ca, ca_issuer) = certificate_authority(&format!("itemlift CA {tag}"), now)?;
        write_key(state, SERVER_CA, ca_issuer.key())?;

        let signing_key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072)?;
        let signing = signing_certificate(now)?.signed_by(&signing_key, &ca_issuer)?;
        write_pair(state, SIGNING, &signing, &signing_key)?;

        let (grant_ca, grant_issuer) =
            certificate_authority(&format!("itemlift grants {tag}"), now)?;
        write_pair(state, GRANT_CA, &grant_ca, grant_issuer.key())?;

        write_new(&state.ca(), 0o644, ca.pem().as_bytes())?;
        Ok(())
    }

    /// Loads what [`Authority::create`] made.
    ///
    /// # Errors
    /// A file is missing, readable by others, or not what it should be.
    pub fn load(state: &StateDir) -> Result<Self, AuthorityError> {
        let ca_path = state.ca();
        let ca_pem = std::fs::read_to_string(&ca_path).map_err(io_error("read", &ca_path))?;
        let (grant_ca, grant_key) = read_pair(state, GRANT_CA)?;
        let (signing_certificate, signing_key) = read_pair(state, SIGNING)?;
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| AuthorityError::Pem(ca_path.display().to_string()))?;
        Ok(Self {
            ca_issuer: Issuer::from_ca_cert_der(&ca, read_key(state, SERVER_CA)?)?,
            ca_pem,
            grant_issuer: Issuer::from_ca_cert_der(&grant_ca, grant_key)?,
            grant_ca,
            signing_certificate,
            signing_key,
        })
    }

    /// The server's CA, PEM: what a script pins.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A TLS certificate for this server, from its CA, with a new key: for localhost, 127.0.0.1, ::1 and `hosts`
    /// (names or addresses). It is made at each start, so that it follows the configuration and its key lies nowhere.
    ///
    /// # Errors
    /// A host that no certificate can name, no randomness, or the clock is far off.
    pub fn server_identity(
        &self,
        hosts: &[String],
        now: Timestamp,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = server_certificate(hosts, now)?.signed_by(&key, &self.ca_issuer)?;
        Ok((vec![certificate.der().clone()], key.into()))
    }

    /// The CA that issues the grants' client certificates.
    pub fn grant_ca(&self) -> &CertificateDer<'static> {
        &self.grant_ca
    }

    /// The certificate that goes with [`Authority::sign`].
    pub fn signing_certificate(&self) -> &CertificateDer<'static> {
        &self.signing_certificate
    }

    /// Signs a mount script: RSA PKCS #1 v1.5 with SHA-256 (RFC 8017 §8.2).
    ///
    /// # Errors
    /// The library failed.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, AuthorityError> {
        Ok(self.signing_key.sign(bytes)?)
    }

    /// A client certificate for a grant, with a key of its own.
    ///
    /// # Errors
    /// No randomness, or the clock is far off.
    pub fn issue_client(
        &self,
        grant: &GrantId,
        now: Timestamp,
    ) -> Result<ClientIdentity, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = leaf(grant.as_str(), now)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.grant_issuer)?;
        Ok(ClientIdentity {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
            fingerprint: Fingerprint::of(certificate.der()),
        })
    }
}

fn certificate_authority(
    name: &str,
    now: Timestamp,
) -> Result<(Certificate, Issuer<'static, KeyPair>), AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = named(name, now, CA_YEARS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((certificate, Issuer::new(params, key)))
}

fn server_certificate(
    hosts: &[String],
    now: Timestamp,
) -> Result<CertificateParams, AuthorityError> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    for host in hosts {
        if !names.contains(host) {
            names.push(host.clone());
        }
    }
    let mut params = leaf(hosts.first().map_or("localhost", |host| host), now)?;
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn signing_certificate(now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = leaf("itemlift mount scripts", now)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // `openssl cms -verify` wants the first, Authenticode the second.
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::EmailProtection,
        ExtendedKeyUsagePurpose::CodeSigning,
    ];
    Ok(params)
}

fn leaf(name: &str, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = named(name, now, LEAF_YEARS)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn named(name: &str, now: Timestamp, years: i64) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    // A recovery machine's clock may be behind ours.
    let (year, month, day) = date(now, Span::new().days(-2))?;
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date(now, Span::new().years(years))?;
    params.not_after = rcgen::date_time_ymd(year, month, day);
    Ok(params)
}

/// 127 random bits: positive in DER, at most 20 bytes (RFC 5280 §4.1.2.2).
fn serial() -> Result<[u8; 16], NoRandomness> {
    let mut serial = credentials::random::<16>()?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}

/// Year, month and day, UTC, of the day that is `span` away.
fn date(now: Timestamp, span: Span) -> Result<(i32, u8, u8), AuthorityError> {
    let date = now
        .to_zoned(TimeZone::UTC)
        .date()
        .checked_add(span)
        .map_err(|_| AuthorityError::Clock)?;
    let part = |part: i8| u8::try_from(part).map_err(|_| AuthorityError::Clock);
    Ok((
        i32::from(date.year()),
        part(date.month())?,
        part(date.day())?,
    ))
}

fn write_pair(
    state: &StateDir,
    name: &str,
    certificate: &Certificate,
    key: &KeyPair,
) -> Result<(), AuthorityError> {
    let path = state.key(&format!("{name}.pem"));
    write_new(&path, 0o600, certificate.pem().as_bytes())?;
    write_key(state, name, key)
}

fn write_key(state: &StateDir, name: &str, key: &KeyPair) -> Result<(), AuthorityError> {
    let pem = Zeroizing::new(key.serialize_pem());
    Ok(write_new(
        &state.key(&format!("{name}.key")),
        0o600,
        pem.as_bytes(),
    )?)
}

fn read_pair(
    state: &StateDir,
    name: &str,
) -> Result<(CertificateDer<'static>, KeyPair), AuthorityError> {
    let path = state.key(&format!("{name}.pem"));
    let pem = state.read_private(&path)?;
    let certificate = CertificateDer::from_pem_slice(&pem)
        .map_err(|_| AuthorityError::Pem(path.display().to_string()))?;
    Ok((certificate, read_key(state, name)?))
}

fn read_key(state: &StateDir, name: &str) -> Result<KeyPair, AuthorityError> {
    let path = state.key(&format!("{name}.key"));
    let pem = state.read_private(&path)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| AuthorityError::Pem(path.display().to_string()))?;
    Ok(KeyPair::try_from(&key)?)
}
