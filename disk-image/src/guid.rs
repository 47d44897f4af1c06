//! Identifiers as Microsoft's formats hold them.

use std::fmt;

/// 16 bytes as they stand in a file: three little-endian numbers, then eight bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guid(pub(crate) [u8; 16]);

impl Guid {
    pub(crate) const ZERO: Guid = Guid([0; 16]);

    /// From the numbers that its text form shows.
    pub(crate) const fn new(first: u32, second: u16, third: u16, rest: [u8; 8]) -> Guid {
        let (a, b, c) = (
            first.to_le_bytes(),
            second.to_le_bytes(),
            third.to_le_bytes(),
        );
        let [d, e, f, g, h, i, j, k] = rest;
        Guid([
            a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d, e, f, g, h, i, j, k,
        ])
    }

    /// Reads `{83ed0ec3-24c8-49a6-a959-5e4bd1288015}`, braces or not.
    pub(crate) fn parse(text: &str) -> Option<Guid> {
        let text = text.trim_matches(['{', '}']);
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            u64::from_str_radix(part, 16).ok()
        };
        let (first, second, third) = (part(8)?, part(4)?, part(4)?);
        let rest = part(4)? << 48 | part(12)?;
        parts.next().is_none().then_some(Guid::new(
            u32::try_from(first).ok()?,
            u16::try_from(second).ok()?,
            u16::try_from(third).ok()?,
            rest.to_be_bytes(),
        ))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i, rest @ ..] = self.0;
        let first = u32::from_le_bytes([a, b, c, d]);
        let (second, third) = (u16::from_le_bytes([e, g]), u16::from_le_bytes([h, i]));
        let rest = u64::from_be_bytes(rest);
        write!(
            f,
            "{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}",
            rest >> 48,
            rest & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        let text = "83ed0ec3-24c8-49a6-a959-5e4bd1288015";
        let guid = Guid::parse(&format!("{{{text}}}")).unwrap();
        assert_eq!(guid.0[..6], [0xc3, 0x0e, 0xed, 0x83, 0xc8, 0x24]);
        assert_eq!(guid.0[8..10], [0xa9, 0x59]);
        assert_eq!(guid.to_string(), text);
        for bad in [
            "",
            "83ed0ec3-24c8-49a6-a959",
            "83ed0ec3-24c8-49a6-a959-5e4bd1288015-00",
            "+3ed0ec3-24c8-49a6-a959-5e4bd128801g",
        ] {
            assert_eq!(Guid::parse(bad), None, "{bad}");
        }
    }
}
