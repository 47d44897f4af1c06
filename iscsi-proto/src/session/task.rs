//! Tasks under way. A task is in the table from its command to its status; one that ends at once
//! never gets there.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::blocks::{BlockRange, ByteOffset};
use crate::counts::{CommandEnd, Ended};
use crate::effect::ReadId;
use crate::pdu::{Residual, ScsiCommand};
use crate::scsi::{Comparison, Condition, Lun, command_name};
use crate::types::{Itt, Ttt};

/// One command.
pub(super) struct Task {
    pub(super) lun: Lun,
    pub(super) cdb: [u8; 16],
    pub(super) immediate: bool,
    direction: Direction,
    /// Bytes. Expected Data Transfer Length.
    expected: u32,
    /// What [`Nexus::aborts`](crate::scsi::Nexus::aborts) was when the command came.
    pub(super) aborts: u32,
    /// Bytes of the initiator's data that were used.
    pub(super) taken: u64,
    /// Data-In or R2T PDUs sent.
    pub(super) data_sn: u32,
    pub(super) work: Work,
    /// When it came.
    began: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    None,
    In,
    Out,
}

/// What a task is busy with.
pub(super) enum Work {
    /// Nothing yet.
    Starting,
    /// Reads blocks, or sends.
    Transfer(Transfer),
    /// Waits for data of the initiator.
    Collect(Collect),
}

/// Data on its way from the disk.
pub(super) struct Transfer {
    pub(super) purpose: Purpose,
    /// The next byte of the disk to ask for, and how many there still are.
    pub(super) next: ByteOffset,
    pub(super) unasked: u64,
    /// What was asked for, in order, from the first byte not yet used.
    pub(super) pieces: VecDeque<Piece>,
    /// Bytes to send in all, and sent.
    pub(super) total: u32,
    pub(super) sent: u32,
    /// Bytes that this sequence of Data-In may still have (MaxBurstLength).
    pub(super) burst_left: u32,
    /// Bytes that the command has, for the residual count.
    pub(super) actual: u64,
    /// In the queue of those that have something to send.
    pub(super) queued: bool,
}

/// What the blocks are read for.
pub(super) enum Purpose {
    /// To be sent, counted as read data.
    Deliver(BlockRange),
    /// To be sent; not from the disk.
    Parameter,
    /// To see that they can be read.
    Check(BlockRange),
    /// To be held against the initiator's data.
    Compare(Comparison),
}

/// A part of the data.
pub(super) struct Piece {
    /// `None`: not from the disk.
    pub(super) id: Option<ReadId>,
    pub(super) offset: ByteOffset,
    /// Bytes asked for, which count against the budget until they are used.
    pub(super) len: u32,
    /// Once it is there; what has been sent is cut off.
    pub(super) data: Option<Bytes>,
}

/// Data on its way from the initiator.
pub(super) struct Collect {
    pub(super) buffer: BytesMut,
    /// Bytes in all.
    pub(super) wanted: u32,
    /// Counts against the budget.
    pub(super) reserved: bool,
    /// The R2T under way.
    pub(super) asked: Option<Asked>,
    /// What the command ends with once all data that is on its way has come.
    pub(super) failure: Option<Condition>,
}

/// One R2T (MaxOutstandingR2T is 1), or, with the reserved tag, data that the initiator has announced
/// unasked.
pub(super) struct Asked {
    pub(super) ttt: Ttt,
    /// Where its data ends, in bytes of the command.
    pub(super) end: u32,
    /// DataSN of the next PDU.
    pub(super) data_sn: u32,
}

impl Task {
    pub(super) fn new(command: &ScsiCommand, aborts: u32, now: Option<Instant>) -> Self {
        let direction = match (command.read, command.write) {
            (true, false) => Direction::In,
            // RFC 7143 §11.3.1: both flags may be set where there is nothing to transfer.
            (true, true) if command.expected_len == 0 => Direction::None,
            // RFC 7143 §11.3.4: with both, the length is that of the data to be written.
            (_, true) => Direction::Out,
            (false, false) => Direction::None,
        };
        Self {
            lun: command.lun,
            cdb: command.cdb,
            immediate: command.immediate,
            direction,
            expected: command.expected_len,
            aborts,
            taken: 0,
            data_sn: 0,
            work: Work::Starting,
            began: now,
        }
    }

    /// The operation code, if the device server knows it.
    pub(super) fn opcode(&self) -> Option<u8> {
        let [opcode, ..] = self.cdb;
        command_name(opcode).map(|_| opcode)
    }

    pub(super) fn ended(&self, itt: Itt, end: CommandEnd) -> Ended {
        Ended {
            itt,
            opcode: self.opcode(),
            end,
            began: self.began,
        }
    }

    /// Bytes that the initiator is ready to take.
    pub(super) fn room(&self) -> u32 {
        if self.direction == Direction::In {
            self.expected
        } else {
            0
        }
    }

    /// Bytes that the initiator is ready to send.
    pub(super) fn offered(&self) -> u32 {
        if self.direction == Direction::Out {
            self.expected
        } else {
            0
        }
    }

    /// Data-In PDUs sent, for ExpDataSN (RFC 7143 §11.4.8). R2Ts do not count there.
    pub(super) fn data_in_sent(&self) -> u32 {
        if self.direction == Direction::In {
            self.data_sn
        } else {
            0
        }
    }

    /// What remains when the command had so many bytes for the initiator.
    pub(super) fn residual(&self, sent: u64) -> Residual {
        match self.direction {
            Direction::In => Residual::between(self.expected, sent),
            Direction::Out => Residual::between(self.expected, self.taken),
            Direction::None => Residual::between(0, sent),
        }
    }

    /// Bytes in all of what it has to send, if that is not of the disk; the same from its first to its last.
    pub(super) fn parameter_bytes(&self) -> usize {
        match &self.work {
            Work::Transfer(transfer) if matches!(transfer.purpose, Purpose::Parameter) => {
                transfer.total as usize
            }
            _ => 0,
        }
    }

    /// Bytes of the initiator's data that it holds, or has room taken for.
    pub(super) fn data_out_bytes(&self) -> u32 {
        match &self.work {
            Work::Collect(collect) if collect.reserved => collect.wanted,
            Work::Transfer(Transfer {
                purpose: Purpose::Compare(comparison),
                ..
            }) => comparison.sent_bytes(),
            _ => 0,
        }
    }

    pub(super) fn transfer(&mut self) -> Option<&mut Transfer> {
        match &mut self.work {
            Work::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    pub(super) fn collect(&mut self) -> Option<&mut Collect> {
        match &mut self.work {
            Work::Collect(collect) => Some(collect),
            _ => None,
        }
    }
}

impl Transfer {
    /// Blocks from the disk; `total` bytes of them are to be sent.
    pub(super) fn of_blocks(purpose: Purpose, range: BlockRange, total: u32, burst: u32) -> Self {
        let block = u64::from(range.block_size().bytes());
        let unasked = match purpose {
            Purpose::Deliver(_) => u64::from(total).next_multiple_of(block),
            _ => range.len(),
        };
        Self {
            purpose,
            next: range.offset(),
            unasked,
            pieces: VecDeque::new(),
            total,
            sent: 0,
            burst_left: burst,
            actual: range.len(),
            queued: false,
        }
    }

    /// Parameter data, cut to what the initiator takes.
    pub(super) fn of_bytes(mut data: Bytes, room: u32, burst: u32) -> Self {
        let actual = data.len() as u64;
        data.truncate(room as usize);
        let total = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let piece = Piece {
            id: None,
            offset: ByteOffset(0),
            len: 0,
            data: Some(data),
        };
        Self {
            purpose: Purpose::Parameter,
            next: ByteOffset(0),
            unasked: 0,
            pieces: VecDeque::from([piece]),
            total,
            sent: 0,
            burst_left: burst,
            actual,
            queued: false,
        }
    }

    /// Whether data is to be sent, as opposed to looked at.
    pub(super) fn sends(&self) -> bool {
        matches!(self.purpose, Purpose::Deliver(_) | Purpose::Parameter)
    }

    /// Whether the next part is there.
    pub(super) fn is_ready(&self) -> bool {
        self.pieces
            .front()
            .is_some_and(|piece| piece.data.is_some())
    }
}
