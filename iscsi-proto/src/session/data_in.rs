//! Data from the disk to the initiator (RFC 7143 §11.7; sequences: §4.2.5.2).

use bytes::Bytes;

use super::Session;
use super::task::{Piece, Purpose, Task, Transfer, Work};
use crate::counts::CommandEnd;
use crate::effect::{ReadFault, ReadId};
use crate::limits::MAX_SEND_DATA_SEGMENT;
use crate::outbox::{Outbox, Outgoing, StatusNumber};
use crate::pdu::{DataIn, Numbers};
use crate::scsi::{Lun, Sense};
use crate::types::{Itt, Ttt};

/// SCSI status GOOD (SAM-5 §5.3.1).
const GOOD: u8 = 0x00;

/// What is to be done with the first piece of a transfer.
enum Head {
    Waits,
    Send,
    Fails(Sense),
    Ends,
}

impl Session {
    /// Begins to transfer. `task` has no status yet.
    pub(super) fn begin_transfer(
        &mut self,
        itt: Itt,
        mut task: Task,
        transfer: Transfer,
        out: &mut Outbox,
    ) {
        task.work = Work::Transfer(transfer);
        self.enter(itt, task);
        self.reads.asking.push_back(itt);
        self.ask_for_blocks(out);
        self.look_at_head(itt, out);
    }

    /// Asks for blocks, the oldest command first, until the budget is used up.
    pub(super) fn ask_for_blocks(&mut self, out: &mut Outbox) {
        while let Some(itt) = self.reads.asking.front().copied() {
            if let Some(task) = self.tasks.get_mut(&itt) {
                let lun = task.lun;
                let transfer = task.transfer();
                if transfer.is_some_and(|transfer| !self.reads.ask(itt, lun, transfer, out)) {
                    return;
                }
            }
            self.reads.asking.pop_front();
        }
    }

    /// The caller has read, or could not.
    pub(crate) fn read_done(
        &mut self,
        id: ReadId,
        outcome: Result<Bytes, ReadFault>,
        out: &mut Outbox,
    ) {
        if let Some(itt) = self.reads.answered(id) {
            self.take_blocks(itt, id, outcome, out);
        }
        self.ask_for_blocks(out);
        self.ask_for_data(out);
    }

    fn take_blocks(
        &mut self,
        itt: Itt,
        id: ReadId,
        outcome: Result<Bytes, ReadFault>,
        out: &mut Outbox,
    ) {
        let Some(transfer) = self.tasks.get_mut(&itt).and_then(Task::transfer) else {
            return;
        };
        let Some(piece) = transfer
            .pieces
            .iter_mut()
            .find(|piece| piece.id == Some(id))
        else {
            return;
        };
        // Never wrong data: an answer of another length is a fault at its first byte.
        let whole = |data: &Bytes| data.len() == piece.len as usize;
        match outcome.and_then(|data| {
            if whole(&data) {
                Ok(data)
            } else {
                Err(ReadFault { at: piece.offset })
            }
        }) {
            Ok(data) => {
                piece.data = Some(data);
                self.look_at_head(itt, out);
            }
            Err(fault) => {
                let sense = transfer.fault(fault);
                self.fail(itt, sense, out);
            }
        }
    }

    /// Does what can be done with the first pieces of a transfer.
    fn look_at_head(&mut self, itt: Itt, out: &mut Outbox) {
        loop {
            if self.is_stale(itt) {
                return;
            }
            let Some(transfer) = self.tasks.get_mut(&itt).and_then(Task::transfer) else {
                return;
            };
            match transfer.head() {
                Head::Waits => return,
                Head::Send => {
                    if !std::mem::replace(&mut transfer.queued, true) {
                        self.ready.push_back(itt);
                    }
                    return;
                }
                Head::Fails(sense) => {
                    self.fail(itt, sense, out);
                    return;
                }
                Head::Ends => {
                    if let Some(piece) = transfer.pieces.pop_front() {
                        self.reads.release(piece.len);
                        continue;
                    }
                    let actual = if transfer.sends() { transfer.actual } else { 0 };
                    self.end_good(itt, actual, out);
                    return;
                }
            }
        }
    }

    /// The next Data-In, of the command that has been ready for longest.
    pub(crate) fn poll_data(&mut self, out: &mut Outbox) -> Option<Outgoing> {
        loop {
            let itt = *self.ready.front()?;
            if self.is_stale(itt) {
                self.ready.pop_front();
                continue;
            }
            let longest = self
                .parameters
                .max_send_data_segment
                .min(MAX_SEND_DATA_SEGMENT);
            let burst = self.parameters.max_burst;
            let task = self.tasks.get_mut(&itt).filter(|task| task.is_ready());
            let Some(cut) = task.and_then(|task| task.cut(itt, longest, burst)) else {
                self.ready.pop_front();
                continue;
            };
            self.reads.release(cut.released);
            if cut.counts {
                self.bytes_read += cut.outgoing.data.len() as u64;
            }
            let mut outgoing = cut.outgoing;
            if cut.ended {
                self.ready.pop_front();
                if let Some(task) = self.remove(itt, out) {
                    let ended = task.ended(itt, CommandEnd::Good);
                    out.counts.command(ended.opcode, ended.end);
                    outgoing.ends = Some(ended);
                }
            } else if !cut.more {
                self.ready.pop_front();
            }
            self.ask_for_blocks(out);
            return Some(outgoing);
        }
    }
}

/// One PDU cut off a transfer.
struct Cut {
    outgoing: Outgoing,
    /// Bytes of the budget that are free again.
    released: u32,
    /// Data of a READ.
    counts: bool,
    /// It carried the status.
    ended: bool,
    /// The next part is there too.
    more: bool,
}

impl Task {
    fn is_ready(&self) -> bool {
        matches!(&self.work, Work::Transfer(transfer) if transfer.sends() && transfer.is_ready())
    }

    fn cut(&mut self, itt: Itt, longest: u32, burst: u32) -> Option<Cut> {
        let data_sn = self.data_sn;
        let transfer = self.transfer()?;
        let buffer_offset = transfer.sent;
        let most = longest
            .min(transfer.burst_left)
            .min(transfer.total - transfer.sent);
        let piece = transfer.pieces.front_mut()?;
        let there = piece.data.as_mut()?;
        let data = there.split_to(there.len().min(most as usize));
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        transfer.sent += len;
        transfer.burst_left -= len;
        let ended = transfer.sent == transfer.total;
        let mut released = 0;
        if there.is_empty() || ended {
            released = transfer
                .pieces
                .pop_front()
                .map_or(0, |piece: Piece| piece.len);
        }
        // RFC 7143 §11.7.1: F marks the end of a sequence, which MaxBurstLength bounds.
        let last = ended || transfer.burst_left == 0;
        if transfer.burst_left == 0 {
            transfer.burst_left = burst;
        }
        let more = transfer.is_ready();
        transfer.queued = more;
        let counts = matches!(transfer.purpose, Purpose::Deliver(_));
        let actual = transfer.actual;
        self.data_sn += 1;
        let pdu = DataIn {
            last,
            acknowledge: false,
            status: ended.then(|| (GOOD, self.residual(actual))),
            // RFC 7143 §11.7.4: reserved, like the tag, when no acknowledgment is wanted.
            lun: Lun::peripheral(0),
            itt,
            ttt: Ttt::RESERVED,
            numbers: Numbers::default(),
            data_sn,
            buffer_offset,
        };
        let status_number = if ended {
            StatusNumber::Takes
        } else {
            StatusNumber::Absent
        };
        let outgoing = Outgoing {
            bhs: pdu.encode(),
            data,
            status_number,
            ends: None,
        };
        Some(Cut {
            outgoing,
            released,
            counts,
            ended,
            more,
        })
    }
}

impl Transfer {
    fn head(&self) -> Head {
        let Some(piece) = self.pieces.front() else {
            return if self.unasked == 0 {
                Head::Ends
            } else {
                Head::Waits
            };
        };
        let Some(data) = &piece.data else {
            return Head::Waits;
        };
        match &self.purpose {
            Purpose::Deliver(_) | Purpose::Parameter if self.total == 0 => Head::Ends,
            Purpose::Deliver(_) | Purpose::Parameter => Head::Send,
            Purpose::Check(_) => Head::Ends,
            Purpose::Compare(comparison) => match comparison.compare(piece.offset, data) {
                Ok(()) => Head::Ends,
                Err(sense) => Head::Fails(sense),
            },
        }
    }

    fn fault(&self, fault: ReadFault) -> Sense {
        Sense::unrecovered_read(match &self.purpose {
            Purpose::Deliver(range) | Purpose::Check(range) => range.block_at(fault.at),
            Purpose::Compare(comparison) => comparison.block_at(fault.at),
            // Parameter data is never read.
            Purpose::Parameter => crate::blocks::Lba(0),
        })
    }
}
