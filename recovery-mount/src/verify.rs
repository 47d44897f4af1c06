//! Whether a script is, byte for byte, one that this installation signed.

use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use webpki::aws_lc_rs::{ECDSA_P256_SHA256, ECDSA_P384_SHA384, RSA_PKCS1_2048_8192_SHA256};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::cms::{LINE_BYTES, Signed};
use crate::sign::{BEGIN, END, LATE, SETTLED, lines};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

/// 1.3.6.1.5.5.7.3.3, id-kp-codeSigning (RFC 5280 §4.2.1.12).
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
/// No script is larger; what is, is not read further. In bytes.
const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// What a verified script's header says; the texts are escaped as they are in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptInfo {
    /// Id of the grant.
    pub grant: String,
    /// Name of the VM.
    pub vm: String,
    /// Id of the recovery point.
    pub point: String,
    /// When the grant ends unless it is renewed, `YYYY-MM-DD HH:MM:SS UTC`.
    pub expires_at: String,
}

/// Why a script is not to be trusted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum VerifyError {
    /// Too large or not ASCII.
    #[error("this is not an itemlift mount script")]
    NotAScript,
    /// No signature block at the end.
    #[error(
        "the script has no signature at its end: it was cut off, or it is not an itemlift mount script"
    )]
    NoSignature,
    /// The block is not in its one right form.
    #[error("the script's signature is damaged: get the script again from whoever created it")]
    DamagedSignature,
    /// The content's digest is another.
    #[error("the script was changed after it was signed: do not run it")]
    Changed,
    /// The signature does not fit the certificate.
    #[error("the script's signature is false: do not run it")]
    FalseSignature,
    /// The CA given is not a PEM certificate.
    #[error("the CA file holds no PEM certificate")]
    Ca,
    /// The certificate is not under this CA, out of its time, or not for signing code.
    #[error("the script was not signed under this CA, or its certificate is not valid now: {0}")]
    Untrusted(String),
}

/// Verifies form, digest, signature and certificate of a script.
///
/// `now_unix` in seconds is the time at which the signer's certificate must be valid.
pub fn verify(script: &[u8], ca_pem: &str, now_unix: i64) -> Result<ScriptInfo, VerifyError> {
    if script.len() > MAX_SCRIPT_BYTES || !script.is_ascii() {
        return Err(VerifyError::NotAScript);
    }
    let text = str::from_utf8(script).map_err(|_| VerifyError::NotAScript)?;
    let (body, block) = split(text)?;
    let der = decode_block(block)?;
    let signed = Signed::decode(&der).ok_or(VerifyError::DamagedSignature)?;
    let encoded = signed.encode().ok_or(VerifyError::DamagedSignature)?;
    if lines(&encoded, true) != block {
        return Err(VerifyError::DamagedSignature);
    }
    let digest = Sha256::new()
        .chain_update(body)
        .chain_update(lines(&encoded, false))
        .finalize();
    if !bool::from(digest.as_slice().ct_eq(&signed.digest)) {
        return Err(VerifyError::Changed);
    }
    check_signature(&signed, &encoded.to_be_signed, ca_pem, now_unix)?;
    header(body).ok_or(VerifyError::NotAScript)
}

/// The two commands by which anybody with OpenSSL verifies `script` under the certificate in `ca`.
///
/// Both names are put into single quotes; they must not hold one.
pub fn verify_command(script: &str, ca: &str) -> String {
    [
        "LC_ALL=C openssl cms -verify -binary -inform PEM -CAfile '",
        ca,
        "' -out /dev/null \\\n  -in <(sed -nE 's/^# (CMS|SIG) //p' '",
        script,
        "') \\\n  -content <(LC_ALL=C sed -E '/^# CMS -----BEGIN CMS-----$/,$ {/^# SIG [A-Za-z0-9+/]{64}$/d;}' '",
        script,
        "')",
    ]
    .concat()
}

/// Body and signature block; the block is the end of the file.
fn split(text: &str) -> Result<(&str, &str), VerifyError> {
    let begin = format!("\n{SETTLED}{BEGIN}\n");
    let at = text.rfind(&begin).ok_or(VerifyError::NoSignature)? + 1;
    let (body, block) = text.split_at_checked(at).ok_or(VerifyError::NoSignature)?;
    let foreign = |line: &str| line.starts_with(SETTLED) || line.starts_with(LATE);
    if !block.ends_with(&format!("\n{SETTLED}{END}\n")) || body.lines().any(foreign) {
        return Err(VerifyError::DamagedSignature);
    }
    Ok((body, block))
}

fn decode_block(block: &str) -> Result<Vec<u8>, VerifyError> {
    let mut der = Vec::with_capacity(block.len());
    for line in block.lines() {
        let encoded = line
            .strip_prefix(SETTLED)
            .or_else(|| line.strip_prefix(LATE));
        match encoded.ok_or(VerifyError::DamagedSignature)? {
            BEGIN | END => {}
            encoded => der.extend(
                BASE64
                    .decode(encoded)
                    .map_err(|_| VerifyError::DamagedSignature)?,
            ),
        }
    }
    if der.len() % LINE_BYTES == 0 {
        Ok(der)
    } else {
        Err(VerifyError::DamagedSignature)
    }
}

fn check_signature(
    signed: &Signed<'_>,
    attributes: &[u8],
    ca_pem: &str,
    now_unix: i64,
) -> Result<(), VerifyError> {
    let untrusted = |error: webpki::Error| VerifyError::Untrusted(error.to_string());
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|_| VerifyError::Ca)?;
    let anchor = anchor_from_trusted_cert(&ca).map_err(|_| VerifyError::Ca)?;
    let der = CertificateDer::from(signed.certificate);
    let certificate = EndEntityCert::try_from(&der).map_err(untrusted)?;
    certificate
        .verify_signature(RSA_PKCS1_2048_8192_SHA256, attributes, &signed.signature)
        .map_err(|_| VerifyError::FalseSignature)?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        now_unix.max(0).unsigned_abs(),
    ));
    certificate
        .verify_for_usage(
            &[
                ECDSA_P256_SHA256,
                ECDSA_P384_SHA384,
                RSA_PKCS1_2048_8192_SHA256,
            ],
            &[anchor],
            &[],
            now,
            KeyUsage::required(CODE_SIGNING),
            None,
            None,
        )
        .map_err(untrusted)?;
    Ok(())
}

/// Reads the header's comment lines, which the digest has vouched for.
fn header(body: &str) -> Option<ScriptInfo> {
    let field = |name: &str| {
        let mut comments = body.lines().take_while(|line| line.starts_with('#'));
        let value = comments.find_map(|line| {
            line.strip_prefix("# ")?
                .strip_prefix(name)?
                .strip_prefix(':')
        })?;
        Some(value.trim().to_owned())
    };
    Some(ScriptInfo {
        grant: field("Grant")?,
        vm: field("VM")?,
        point: field("Recovery point")?,
        expires_at: field("Expires")?,
    })
}
