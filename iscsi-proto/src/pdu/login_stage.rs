//! Stages of login, and the byte that says where a login PDU stands (RFC 7143 §11.12.1 to §11.12.3).

use super::Malformed;
use super::fields::bit;

/// A stage of login (RFC 7143 §11.12.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LoginStage {
    /// 0: who is who.
    #[default]
    Security = 0,
    /// 1: how to talk.
    Operational = 1,
    /// 3: login is over.
    FullFeature = 3,
}

impl LoginStage {
    fn from_wire(bits: u8) -> Result<Self, Malformed> {
        match bits & 0x03 {
            0 => Ok(Self::Security),
            1 => Ok(Self::Operational),
            3 => Ok(Self::FullFeature),
            _ => Err(Malformed),
        }
    }
}

/// The byte that both PDUs have second: T, C, CSG, NSG.
pub(super) struct StageByte {
    pub(super) transit: Option<LoginStage>,
    pub(super) more: bool,
    pub(super) stage: LoginStage,
}

impl StageByte {
    pub(super) fn parse(byte: u8) -> Result<Self, Malformed> {
        let transit = byte & 0x80 != 0;
        let more = byte & 0x40 != 0;
        let stage = LoginStage::from_wire(byte >> 2)?;
        // Without T the next stage is reserved.
        let next = if transit {
            Some(LoginStage::from_wire(byte)?)
        } else {
            None
        };
        let forward = next.is_none_or(|next| next as u8 > stage as u8);
        // RFC 7143 §11.12.2: with C set, T must be 0.
        if (transit && more) || !forward || stage == LoginStage::FullFeature {
            return Err(Malformed);
        }
        Ok(Self {
            transit: next,
            more,
            stage,
        })
    }

    pub(super) fn encode(&self) -> u8 {
        let next = self.transit.map_or(0, |next| 0x80 | next as u8);
        next | bit(0x40, self.more) | (self.stage as u8) << 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_make_no_sense() {
        // T and C; CSG 2; NSG 2; backwards; in place; CSG 3.
        for byte in [0xc1, 0x08, 0x82, 0x84, 0x85, 0x80, 0x0c, 0x8f] {
            assert!(StageByte::parse(byte).is_err(), "{byte:#x}");
        }
        for (byte, transit) in [
            (0x00, None),
            (0x03, None),
            (0x81, Some(LoginStage::Operational)),
        ] {
            assert_eq!(StageByte::parse(byte).unwrap().transit, transit);
        }
    }
}
