//! What the initiator remembers of a request until it is answered.

use bytes::Bytes;
use iscsi_proto::pdu::{Bhs, Residual};

use crate::disk;

/// One request.
pub(super) struct Task {
    pub(super) bhs: Bhs,
    pub(super) kind: Kind,
    /// No answer need come.
    pub(super) optional: bool,
    /// No answer may come.
    pub(super) gone: bool,
    /// A read of its blocks failed.
    pub(super) may_fail: bool,
    /// Its data was spoiled: it may end anyhow, but with CHECK CONDITION.
    pub(super) spoiled: bool,
    /// Data-In and R2T that came; bytes that came; bytes of the sequence under way.
    pub(super) data_sn: u32,
    pub(super) r2t_sn: u32,
    pub(super) got: u32,
    pub(super) burst: u32,
    /// What is sent for it when asked, and how much of it was.
    pub(super) data: Bytes,
    pub(super) sent: u32,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A range in bytes of a LUN is read, or held against `data`.
    Read {
        lun: u8,
        range: (u64, u64),
        compares: bool,
    },
    /// Another command.
    Command,
    Nop,
    /// Task management; these requests end with it, surely or maybe.
    Manage {
        ended: Vec<u32>,
        surely: bool,
    },
    Text,
    Logout,
}

impl Task {
    pub(super) fn new(bhs: Bhs, kind: Kind, data: Bytes) -> Self {
        let (optional, gone, may_fail, spoiled) = (false, false, false, false);
        Self { bhs, kind, optional, gone, may_fail, spoiled, data_sn: 0, r2t_sn: 0, got: 0, burst: 0, data, sent: 0 }
    }

    pub(super) fn is_scsi(&self) -> bool {
        self.bhs[0] & 0x3f == 1
    }

    pub(super) fn lun(&self) -> u8 {
        self.bhs[9]
    }

    /// Expected Data Transfer Length.
    pub(super) fn expected(&self) -> u32 {
        u32::from_be_bytes([self.bhs[20], self.bhs[21], self.bhs[22], self.bhs[23]])
    }

    /// Whether a transfer from the target was asked for: R, and not W.
    pub(super) fn is_in(&self) -> bool {
        self.bhs[1] & 0x60 == 0x40
    }

    pub(super) fn is_out(&self) -> bool {
        self.bhs[1] & 0x20 != 0
    }

    /// Whether data was to go both ways, which no command here does.
    pub(super) fn is_both(&self) -> bool {
        self.bhs[1] & 0x60 == 0x60 && self.expected() > 0
    }

    pub(super) fn room(&self) -> u32 {
        if self.is_in() { self.expected() } else { 0 }
    }

    pub(super) fn touches(&self, lun: u8, from: u64, to: u64) -> bool {
        matches!(self.kind, Kind::Read { lun: own, range, .. } if own == lun && range.0 < to && from < range.1)
    }

    /// Whether the range of a read is on the disk.
    pub(super) fn in_range(&self) -> bool {
        let Kind::Read { lun, range, .. } = self.kind else { return false };
        let disk = disk::SIZES.get(usize::from(lun));
        disk.is_some_and(|(bytes, _)| range.0 < *bytes && range.1 <= *bytes && range.1 - range.0 <= 16 << 20)
    }

    /// RFC 7143 §11.4.5: what remains when the command ended with GOOD, or was cut short. `None`: it
    /// depends on how much of our data was looked at.
    pub(super) fn residual(&self, good: bool) -> Option<Residual> {
        let Kind::Read { range, compares, .. } = self.kind else { return None };
        let len = if compares { 0 } else { range.1 - range.0 };
        if compares && !good {
            return None;
        }
        Some(if self.is_in() {
            between(self.expected(), if good { len } else { self.got.into() })
        } else if self.is_out() {
            between(self.expected(), if compares { range.1 - range.0 } else { 0 })
        } else {
            between(0, if good { len } else { 0 })
        })
    }
}

fn between(expected: u32, actual: u64) -> Residual {
    let difference = actual as i64 - i64::from(expected);
    match difference {
        0 => Residual::None,
        1.. => Residual::Overflow(difference as u32),
        _ => Residual::Underflow(-difference as u32),
    }
}
