//! The signature block at the end of a script, as comment lines.
//!
//! ```text
//! # CMS -----BEGIN CMS-----
//! # CMS MIIH…            lines that are settled before signing: part of the signed content
//! # SIG AxjK…            lines with the digest and the signature: left out of it
//! # CMS -----END CMS-----
//! ```
//!
//! So every byte of the file is covered: by the digest, or, for the lines left out, because they hold nothing but signed
//! attributes and the signature itself. (Left out as a whole, the block would have bytes that no verifier looks at,
//! such as its version numbers.) A line left out has exactly 64 base64 characters, which in Python can be nothing but a
//! comment, wherever it is put.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::cms::{DIGEST_BYTES, Encoded, LINE_BYTES, Signed};

/// Prefix of the PEM lines that are part of the signed content.
pub(crate) const SETTLED: &str = "# CMS ";
/// Prefix of the PEM lines that are not.
pub(crate) const LATE: &str = "# SIG ";
pub(crate) const BEGIN: &str = "-----BEGIN CMS-----";
pub(crate) const END: &str = "-----END CMS-----";

/// Why a key made no signature, in its own words.
pub type KeyError = Box<dyn std::error::Error + Send + Sync>;

/// A key at work: signs the given bytes by RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2); RSA-3072 makes 384 bytes.
pub type SignFn<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, KeyError> + 'a;

/// Who signs scripts.
pub struct Signer<'a> {
    /// DER of a certificate for an RSA-3072 key.
    pub certificate_der: &'a [u8],
    /// The certificate's key.
    pub sign: &'a SignFn<'a>,
}

/// Why a script could not be signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// Not a DER certificate with an RSA key.
    #[error("the signing certificate is not one for an RSA key")]
    Certificate,
    /// The key does not make signatures of RSA-3072.
    #[error("the signing key made a signature of {0} bytes; RSA-3072 makes 384")]
    KeySize(usize),
    /// The key refused.
    #[error("the signing key failed: {0}")]
    Key(#[source] KeyError),
}

/// Appends the signature block to a script's text.
pub(crate) fn sign(text: &str, signed_at: i64, signer: &Signer<'_>) -> Result<String, SignError> {
    let mut block = Signed::unsigned(signer.certificate_der, signed_at);
    let draft = block.encode().ok_or(SignError::Certificate)?;
    let content = [text, &lines(&draft, false)].concat();
    block.digest = Sha256::digest(content.as_bytes()).into();

    let encoded = block.encode().ok_or(SignError::Certificate)?;
    let signature = (signer.sign)(&encoded.to_be_signed).map_err(SignError::Key)?;
    block.signature = signature
        .try_into()
        .map_err(|wrong: Vec<u8>| SignError::KeySize(wrong.len()))?;
    let encoded = block.encode().ok_or(SignError::Certificate)?;
    Ok([text, &lines(&encoded, true)].concat())
}

/// The block as it stands in the file, with the late lines or without.
pub(crate) fn lines(encoded: &Encoded, with_late: bool) -> String {
    let mut block = format!("{SETTLED}{BEGIN}\n");
    for (index, chunk) in encoded.der.chunks(LINE_BYTES).enumerate() {
        let late = is_late(encoded, index * LINE_BYTES);
        if !late || with_late {
            block.push_str(if late { LATE } else { SETTLED });
            block.push_str(&BASE64.encode(chunk));
            block.push('\n');
        }
    }
    block.push_str(&format!("{SETTLED}{END}\n"));
    block
}

/// Whether the line at this offset holds a byte of the digest or of the signature.
fn is_late(encoded: &Encoded, offset: usize) -> bool {
    let touches_digest =
        offset < encoded.digest_at + DIGEST_BYTES && offset + LINE_BYTES > encoded.digest_at;
    touches_digest || offset >= encoded.signature_at
}
