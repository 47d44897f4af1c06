//! Protocol data units: for each a struct, parse and encode (RFC 7143 §11).
//!
//! Parsing looks at the 48 bytes of the basic header alone; data segments are taken by whoever
//! knows what they hold. Reserved fields are ignored when read and zero when written. Values that a
//! field does not define survive parsing.

mod async_message;
mod data;
mod fields;
mod login;
mod login_stage;
mod logout;
mod nop;
mod r2t;
mod reject;
mod scsi;
mod task;
mod text;

pub use async_message::{AsyncEvent, AsyncMessage};
pub use data::{DataIn, DataOut};
pub use login::{LoginRequest, LoginResponse};
pub use login_stage::LoginStage;
pub use logout::{LogoutReason, LogoutRequest, LogoutResponse, LogoutResult};
pub use nop::{NopIn, NopOut};
pub use r2t::R2t;
pub use reject::{Reject, RejectReason};
pub use scsi::{Residual, ScsiCommand, ScsiResponse};
pub use task::{TaskFunction, TaskRequest, TaskResponse, TaskResult};
pub use text::{TextRequest, TextResponse};

use crate::types::{CmdSn, StatSn};

/// Bytes of a basic header segment.
pub const BHS_LEN: usize = 48;

/// A basic header segment.
pub type Bhs = [u8; BHS_LEN];

/// A header's fields contradict each other, or it is another PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PDU header is malformed")]
pub struct Malformed;

/// What a PDU is (RFC 7143 §11.2.1.2). The one table of operation codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// NOP-Out.
    NopOut = 0x00,
    /// SCSI Command.
    ScsiCommand = 0x01,
    /// SCSI Task Management Function Request.
    TaskRequest = 0x02,
    /// Login Request.
    LoginRequest = 0x03,
    /// Text Request.
    TextRequest = 0x04,
    /// SCSI Data-Out.
    DataOut = 0x05,
    /// Logout Request.
    LogoutRequest = 0x06,
    /// SNACK Request.
    Snack = 0x10,
    /// NOP-In.
    NopIn = 0x20,
    /// SCSI Response.
    ScsiResponse = 0x21,
    /// SCSI Task Management Function Response.
    TaskResponse = 0x22,
    /// Login Response.
    LoginResponse = 0x23,
    /// Text Response.
    TextResponse = 0x24,
    /// SCSI Data-In.
    DataIn = 0x25,
    /// Logout Response.
    LogoutResponse = 0x26,
    /// Ready To Transfer.
    R2t = 0x31,
    /// Asynchronous Message.
    AsyncMessage = 0x32,
    /// Reject.
    Reject = 0x3f,
}

impl Opcode {
    const ALL: [Self; 18] = [
        Self::NopOut,
        Self::ScsiCommand,
        Self::TaskRequest,
        Self::LoginRequest,
        Self::TextRequest,
        Self::DataOut,
        Self::LogoutRequest,
        Self::Snack,
        Self::NopIn,
        Self::ScsiResponse,
        Self::TaskResponse,
        Self::LoginResponse,
        Self::TextResponse,
        Self::DataIn,
        Self::LogoutResponse,
        Self::R2t,
        Self::AsyncMessage,
        Self::Reject,
    ];

    /// The operation code of a header, if the standard defines it.
    #[must_use]
    pub fn of(bhs: &Bhs) -> Option<Self> {
        let [first, ..] = bhs;
        Self::ALL
            .into_iter()
            .find(|known| *known as u8 == first & 0x3f)
    }
}

/// Whether a request goes past the command window (RFC 7143 §11.2.1.1).
#[must_use]
pub fn is_immediate(bhs: &Bhs) -> bool {
    let [first, ..] = bhs;
    first & 0x40 != 0
}

/// The sequence numbers in every PDU of a target (RFC 7143 §4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The PDU's own number, or the next one; 0 where the PDU carries none.
    pub stat_sn: StatSn,
    /// The next command expected.
    pub exp_cmd_sn: CmdSn,
    /// The last command that may be sent.
    pub max_cmd_sn: CmdSn,
}

/// Writes the numbers into the header of a target's PDU.
pub(crate) fn stamp(bhs: &mut Bhs, numbers: Numbers) {
    let all = [
        numbers.stat_sn.0,
        numbers.exp_cmd_sn.0,
        numbers.max_cmd_sn.0,
    ];
    if let Some(fields) = bhs.get_mut(24..36) {
        for (field, number) in fields.chunks_exact_mut(4).zip(all) {
            field.copy_from_slice(&number.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes() {
        let bhs = |first| std::array::from_fn(|i| if i == 0 { first } else { 0 });
        assert_eq!(Opcode::of(&bhs(0x40)), Some(Opcode::NopOut));
        assert_eq!(Opcode::of(&bhs(0x43)), Some(Opcode::LoginRequest));
        assert_eq!(Opcode::of(&bhs(0x3f)), Some(Opcode::Reject));
        assert_eq!(Opcode::of(&bhs(0x07)), None);
        let known = (0..=0x3f)
            .filter(|first| Opcode::of(&bhs(*first)).is_some())
            .count();
        assert_eq!(known, 18);
        assert!(is_immediate(&bhs(0x41)) && !is_immediate(&bhs(0x01)));
    }

    #[test]
    fn numbers_stand_at_24() {
        let mut bhs = [0; 48];
        let numbers = Numbers {
            stat_sn: StatSn(1),
            exp_cmd_sn: CmdSn(2),
            max_cmd_sn: CmdSn(0x0304_0506),
        };
        stamp(&mut bhs, numbers);
        assert_eq!(bhs[24..36], [0, 0, 0, 1, 0, 0, 0, 2, 3, 4, 5, 6]);
    }
}
