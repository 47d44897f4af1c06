//! A detached CMS signature (RFC 5652 §5) of one fixed shape, so that there is exactly one right encoding.
//!
//! The `contentIdentifier` attribute (RFC 2634 §2.7) pads the encoding until the signature value, its last part, starts at a
//! multiple of [`LINE_BYTES`]. In PEM the signature then fills lines of its own, and no base64 padding is left that
//! could be changed unseen.

use crate::certificate::{RSA_ENCRYPTION, SignerCertificate};
use crate::civil_time::CivilTime;
use crate::der::{
    self, CONTEXT_0, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET,
};

/// Bytes of one PEM line (RFC 7468 §2: 64 characters).
pub(crate) const LINE_BYTES: usize = 48;
/// RSA-3072: eight PEM lines.
pub(crate) const SIGNATURE_BYTES: usize = 384;
/// SHA-256.
pub(crate) const DIGEST_BYTES: usize = 32;

// RFC 5652 §4, §5.1, §11.1 to §11.3; RFC 2634 §2.7; RFC 5754 §2.2.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];
const CONTENT_IDENTIFIER: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x07,
];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// Text of the content identifier, padded with spaces. The shortest is long enough to keep the attribute last in DER's order.
const IDENTIFIER: &[u8] = b"itemlift mount script";
const MIN_IDENTIFIER_BYTES: usize = 33;

/// What a signature block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed<'a> {
    /// The signer's certificate.
    pub(crate) certificate: &'a [u8],
    /// SHA-256 of the content.
    pub(crate) digest: [u8; DIGEST_BYTES],
    /// Unix time in seconds.
    pub(crate) signed_at: SigningTime,
    /// Over [`Encoded::to_be_signed`].
    pub(crate) signature: [u8; SIGNATURE_BYTES],
}

/// The signing time as it is encoded: tag and text.
pub(crate) type SigningTime = (u8, String);

/// The DER of a signature block, and where its two late parts are.
pub(crate) struct Encoded {
    pub(crate) der: Vec<u8>,
    /// RFC 5652 §5.4: the attributes as SET OF, which is what the key signs.
    pub(crate) to_be_signed: Vec<u8>,
    /// Where the attributes are in `der`, with tag and length.
    pub(crate) attributes_at: usize,
    /// Where the digest is in `der`.
    pub(crate) digest_at: usize,
    /// Where the signature is in `der`; up to the end.
    pub(crate) signature_at: usize,
}

impl<'a> Signed<'a> {
    /// A block whose digest and signature are still zero.
    pub(crate) fn unsigned(certificate: &'a [u8], signed_at: i64) -> Self {
        Self {
            certificate,
            digest: [0; DIGEST_BYTES],
            signed_at: CivilTime::from_unix(signed_at).asn1(),
            signature: [0; SIGNATURE_BYTES],
        }
    }

    /// The one right encoding; `None` if the certificate is none with an RSA key.
    pub(crate) fn encode(&self) -> Option<Encoded> {
        let certificate = SignerCertificate::parse(self.certificate)?;
        let first = self.encode_padded(&certificate, MIN_IDENTIFIER_BYTES);
        let missing = (LINE_BYTES - first.signature_at % LINE_BYTES) % LINE_BYTES;
        Some(self.encode_padded(&certificate, MIN_IDENTIFIER_BYTES + missing))
    }

    fn encode_padded(
        &self,
        certificate: &SignerCertificate<'_>,
        identifier_bytes: usize,
    ) -> Encoded {
        let attributes = self.attributes(identifier_bytes);
        let tagged = der::element(CONTEXT_0, &[&attributes]);
        let sha256 = der::element(SEQUENCE, &[&oid(SHA256)]);
        let version = der::element(INTEGER, &[&[1]]);
        let signer = der::element(
            SEQUENCE,
            &[
                &version,
                &der::element(SEQUENCE, &[certificate.issuer, certificate.serial]),
                &sha256,
                &tagged,
                &der::element(SEQUENCE, &[&oid(RSA_ENCRYPTION), &der::null()]),
                &der::element(OCTET_STRING, &[&self.signature]),
            ],
        );
        let signed_data = der::element(
            SEQUENCE,
            &[
                &version,
                &der::element(SET, &[&sha256]),
                &der::element(SEQUENCE, &[&oid(DATA)]),
                &der::element(CONTEXT_0, &[self.certificate]),
                &der::element(SET, &[&signer]),
            ],
        );
        let der = der::element(
            SEQUENCE,
            &[&oid(SIGNED_DATA), &der::element(CONTEXT_0, &[&signed_data])],
        );
        let signature_at = der.len() - SIGNATURE_BYTES;
        // Between attributes and signature: the algorithm (15 bytes) and the signature's tag and length (4 bytes).
        let attributes_at = signature_at - 19 - tagged.len();
        let digest_at = attributes_at + (tagged.len() - attributes.len()) + self.digest_offset();
        Encoded {
            to_be_signed: der::element(SET, &[&attributes]),
            der,
            attributes_at,
            digest_at,
            signature_at,
        }
    }

    /// The attributes in the order of their encodings (X.690 §11.6), which is the order of their lengths.
    fn attributes(&self, identifier_bytes: usize) -> Vec<u8> {
        let mut identifier = IDENTIFIER.to_vec();
        identifier.resize(identifier_bytes, b' ');
        [
            attribute(CONTENT_TYPE, &oid(DATA)),
            self.signing_time(),
            attribute(MESSAGE_DIGEST, &der::element(OCTET_STRING, &[&self.digest])),
            attribute(
                CONTENT_IDENTIFIER,
                &der::element(OCTET_STRING, &[&identifier]),
            ),
        ]
        .concat()
    }

    fn signing_time(&self) -> Vec<u8> {
        attribute(
            SIGNING_TIME,
            &der::element(self.signed_at.0, &[self.signed_at.1.as_bytes()]),
        )
    }

    /// Where the digest is among the attributes.
    fn digest_offset(&self) -> usize {
        let before = attribute(CONTENT_TYPE, &oid(DATA)).len() + self.signing_time().len();
        let digest_attribute =
            attribute(MESSAGE_DIGEST, &der::element(OCTET_STRING, &[&self.digest]));
        before + digest_attribute.len() - DIGEST_BYTES
    }

    /// Reads a block; `None` unless it is, byte for byte, what [`Self::encode`] makes of it.
    pub(crate) fn decode(der: &'a [u8]) -> Option<Self> {
        let mut content_info = Reader::new(Reader::new(der).next(SEQUENCE)?);
        content_info.next(OBJECT_IDENTIFIER)?;
        let mut signed_data =
            Reader::new(Reader::new(content_info.next(CONTEXT_0)?).next(SEQUENCE)?);
        signed_data.next(INTEGER)?;
        signed_data.next(SET)?;
        signed_data.next(SEQUENCE)?;
        let certificate = signed_data.next(CONTEXT_0)?;
        let mut signer = Reader::new(Reader::new(signed_data.next(SET)?).next(SEQUENCE)?);
        signer.next(INTEGER)?;
        signer.next(SEQUENCE)?;
        signer.next(SEQUENCE)?;
        let mut attributes = Reader::new(signer.next(CONTEXT_0)?);
        attributes.next(SEQUENCE)?;
        let (_, time) = value(attributes.next(SEQUENCE)?)?;
        let (_, digest) = value(attributes.next(SEQUENCE)?)?;
        signer.next(SEQUENCE)?;
        let signature = signer.next(OCTET_STRING)?;

        let signed_at = [0x17, 0x18].into_iter().find_map(|tag| {
            let text = Reader::new(time).next(tag)?;
            Some((tag, String::from_utf8(text.to_vec()).ok()?))
        })?;
        let digest = Reader::new(digest).next(OCTET_STRING)?.try_into().ok()?;
        let found = Self {
            certificate,
            digest,
            signed_at,
            signature: signature.try_into().ok()?,
        };
        (found.encode()?.der == der).then_some(found)
    }
}

fn oid(value: &[u8]) -> Vec<u8> {
    der::element(OBJECT_IDENTIFIER, &[value])
}

fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    der::element(SEQUENCE, &[&oid(kind), &der::element(SET, &[value])])
}

/// Kind and value of an attribute.
fn value(attribute: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Reader::new(attribute);
    Some((fields.next(OBJECT_IDENTIFIER)?, fields.next(SET)?))
}
