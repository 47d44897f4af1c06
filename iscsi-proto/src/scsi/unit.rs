//! One logical unit: the medium it presents and the names it goes by.

use crate::blocks::Geometry;

/// Length of the PRODUCT IDENTIFICATION field (SPC-4 6.6).
const PRODUCT_BYTES: usize = 16;

/// A disk as a logical unit. Frozen for the target's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalUnit {
    number: u8,
    geometry: Geometry,
    product: [u8; PRODUCT_BYTES],
    unique: u64,
}

impl LogicalUnit {
    /// Logical unit `number` with the given medium.
    ///
    /// `product` becomes the PRODUCT IDENTIFICATION: its first 16 characters, `_` for every one
    /// that is not printable ASCII. `unique` must tell this disk of this recovery point in this
    /// grant from all others, for hosts merge disks of one identity: give 64 bits of a
    /// cryptographic digest. The serial number and the designators are made from it.
    #[must_use]
    pub fn new(number: u8, geometry: Geometry, product: &str, unique: u64) -> Self {
        let mut field = [b' '; PRODUCT_BYTES];
        for (place, character) in field.iter_mut().zip(product.chars()) {
            *place = u8::try_from(character)
                .ok()
                .filter(|b| (0x20..=0x7E).contains(b))
                .unwrap_or(b'_');
        }
        Self {
            number,
            geometry,
            product: field,
            unique,
        }
    }

    /// The logical unit number, in peripheral device addressing.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// Size and block size.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// PRODUCT IDENTIFICATION, padded with spaces.
    #[must_use]
    pub const fn product(&self) -> &[u8; 16] {
        &self.product
    }

    /// PRODUCT SERIAL NUMBER: 16 hexadecimal digits.
    #[must_use]
    pub fn serial(&self) -> String {
        format!("{:016x}", self.unique)
    }

    /// The locally assigned NAA designator (SPC-4 7.8, Device Identification): 3h and the low 60 bits.
    pub(super) const fn naa(&self) -> u64 {
        0x3 << 60 | (self.unique & ((1 << 60) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::BlockSize;

    fn named(product: &str) -> LogicalUnit {
        let geometry = Geometry::from_bytes(1 << 20, BlockSize::B512).unwrap();
        LogicalUnit::new(0, geometry, product, 0x0123_4567_89AB_CDEF)
    }

    #[test]
    fn a_product_is_16_printable_characters() {
        assert_eq!(named("web").product(), b"web             ");
        assert_eq!(named("0123456789abcdefghi").product(), b"0123456789abcdef");
        assert_eq!(named("a\nb\u{7F}c é 客").product(), b"a_b_c _ _       ");
    }

    #[test]
    fn names_hold_the_unique_number() {
        assert_eq!(named("web").serial(), "0123456789abcdef");
        assert_eq!(named("web").naa(), 0x3123_4567_89AB_CDEF);
    }
}
