//! CRC32C digests of headers and data (RFC 7143 §13.1).

/// Which digests a connection carries in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// After each header.
    pub header: bool,
    /// After each data segment that is not empty.
    pub data: bool,
}

/// Bytes of a digest on the wire.
pub(crate) const DIGEST_LEN: usize = 4;

/// The digest of a header or of a data segment with its padding, as it goes over the wire.
///
/// RFC 7143 §13.1 sends the CRC's coefficients with the lowest byte first.
pub(crate) fn crc32c(parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    parts
        .iter()
        .fold(0, |crc, part| crc32c::crc32c_append(crc, part))
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7143 appendix A.4 (RFC 3720 B.4).
    #[test]
    fn examples_of_the_standard() {
        let ascending: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(crc32c(&[&[0; 32]]), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(crc32c(&[&[0xff; 32]]), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(crc32c(&[&ascending]), [0x4e, 0x79, 0xdd, 0x46]);
        assert_eq!(
            crc32c(&[&ascending[..5], &ascending[5..]]),
            [0x4e, 0x79, 0xdd, 0x46]
        );
    }
}
