//! Reads that the caller is asked for: which are out, and how much memory they may take.

use std::collections::{BTreeMap, VecDeque};

use crate::effect::{Effect, ReadBlocks, ReadId};
use crate::limits::{READ_BUDGET, READ_CHUNK};
use crate::outbox::Outbox;
use crate::scsi::Lun;
use crate::types::Itt;

use super::task::{Piece, Transfer};

/// The reads of one session.
#[derive(Debug)]
pub(super) struct Reads {
    /// Bytes that `used` may come to; the caller lends them.
    pub(super) budget: u32,
    last_id: u64,
    /// Asked for and not answered. Without a task: no longer wanted, but still in memory.
    out: BTreeMap<ReadId, (Option<Itt>, u32)>,
    /// Bytes asked for, or there and not used.
    pub(super) used: u32,
    /// Tasks that have more to ask for, in the order of their commands.
    pub(super) asking: VecDeque<Itt>,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            budget: READ_BUDGET,
            last_id: 0,
            out: BTreeMap::new(),
            used: 0,
            asking: VecDeque::new(),
        }
    }
}

impl Reads {
    /// Asks for as much of the transfer as the budget allows. `true`: all of it.
    pub(super) fn ask(
        &mut self,
        itt: Itt,
        lun: Lun,
        transfer: &mut Transfer,
        out: &mut Outbox,
    ) -> bool {
        while transfer.unasked > 0 {
            let len = u32::try_from(transfer.unasked)
                .unwrap_or(u32::MAX)
                .min(READ_CHUNK);
            if self.used.saturating_add(len) > self.budget {
                return false;
            }
            self.last_id += 1;
            let id = ReadId(self.last_id);
            let offset = transfer.next;
            self.used += len;
            self.out.insert(id, (Some(itt), len));
            transfer.pieces.push_back(Piece {
                id: Some(id),
                offset,
                len,
                data: None,
            });
            transfer.next.0 = transfer.next.0.saturating_add(u64::from(len));
            transfer.unasked -= u64::from(len);
            out.effects.push_back(Effect::Read(ReadBlocks {
                id,
                lun,
                offset,
                len,
            }));
        }
        true
    }

    /// An answer has come. `Some`: for this task.
    pub(super) fn answered(&mut self, id: ReadId) -> Option<Itt> {
        let (task, len) = self.out.remove(&id)?;
        if task.is_none() {
            self.used -= len;
        }
        task
    }

    /// The bytes of a piece have been used.
    pub(super) fn release(&mut self, len: u32) {
        self.used = self.used.saturating_sub(len);
    }

    /// A task ends before its time; what is out for it is not wanted any more.
    pub(super) fn drop_pieces(&mut self, transfer: &Transfer, out: &mut Outbox) {
        for piece in &transfer.pieces {
            let Some(id) = piece.id else { continue };
            let Some((task, len)) = self.out.get_mut(&id) else {
                self.release(piece.len);
                continue;
            };
            let unsent = |effect: &Effect| matches!(effect, Effect::Read(read) if read.id == id);
            if let Some(at) = out.effects.iter().position(unsent) {
                // The caller has not even heard of it.
                let len = *len;
                out.effects.remove(at);
                self.out.remove(&id);
                self.release(len);
            } else {
                // Its memory counts until the caller gives it back.
                *task = None;
                out.effects.push_back(Effect::Cancel(id));
            }
        }
    }
}
