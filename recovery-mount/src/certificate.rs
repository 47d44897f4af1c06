//! The parts of the signer's certificate that go into a script: who issued it, its number, its RSA key.

use crate::der::{BIT_STRING, CONTEXT_0, INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE};

/// 1.2.840.113549.1.1.1, RFC 8017 §A.1.
pub(crate) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Borrowed from a DER certificate (RFC 5280 §4.1).
pub(crate) struct SignerCertificate<'a> {
    /// `issuer` with tag and length.
    pub(crate) issuer: &'a [u8],
    /// `serialNumber` with tag and length.
    pub(crate) serial: &'a [u8],
    /// RSA modulus, big endian, without leading zero.
    pub(crate) modulus: &'a [u8],
    /// RSA public exponent, big endian.
    pub(crate) exponent: &'a [u8],
}

impl<'a> SignerCertificate<'a> {
    /// `None` if this is no DER certificate with an RSA key.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(der);
        let mut certificate = Reader::new(outer.next(SEQUENCE)?);
        if !outer.is_empty() {
            return None;
        }
        let mut fields = Reader::new(certificate.next(SEQUENCE)?);
        fields.optional(CONTEXT_0); // version
        let (serial, _) = fields.next_whole(INTEGER)?;
        fields.next(SEQUENCE)?; // signature algorithm
        let (issuer, _) = fields.next_whole(SEQUENCE)?;
        fields.next(SEQUENCE)?; // validity
        fields.next(SEQUENCE)?; // subject
        let mut key_info = Reader::new(fields.next(SEQUENCE)?);
        if Reader::new(key_info.next(SEQUENCE)?).next(OBJECT_IDENTIFIER)? != RSA_ENCRYPTION {
            return None;
        }
        let key = key_info.next(BIT_STRING)?.strip_prefix(&[0])?;
        let mut numbers = Reader::new(Reader::new(key).next(SEQUENCE)?);
        let modulus = numbers.next(INTEGER)?;
        let exponent = numbers.next(INTEGER)?;
        Some(Self {
            issuer,
            serial,
            modulus: modulus.strip_prefix(&[0]).unwrap_or(modulus),
            exponent,
        })
    }
}
