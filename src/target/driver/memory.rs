//! What a connection holds in memory: read data within what it is lent, buffers as long as they are used.

use std::time::Instant;

use bytes::BytesMut;

use super::Driver;
use crate::target::buffers::Buffers;
use crate::target::in_flight::Lease;
use crate::target::limits::{INPUT_ROOM, QUIET_INPUT_ROOM, QUIET_TIME};

/// Lent room, spare buffers, and when to look what of it is needed.
pub(super) struct Memory {
    pub(super) buffers: Buffers,
    lease: Lease,
    /// The most bytes of read data since the last look.
    peak: u32,
    /// The next look; `None` while there is nothing to give back.
    tidy_at: Option<Instant>,
    /// Something came in since the last look.
    heard: bool,
}

impl Memory {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            buffers: Buffers::default(),
            lease,
            peak: 0,
            tidy_at: None,
            heard: true,
        }
    }

    /// Something has come in: there will be something to give back.
    pub(super) fn used(&mut self) {
        self.heard = true;
        if self.tidy_at.is_none() {
            self.tidy_at = Some(Instant::now() + QUIET_TIME);
        }
    }

    /// Bytes to make room for before a read from the socket.
    pub(super) fn input_room(&self) -> usize {
        if self.heard {
            INPUT_ROOM
        } else {
            QUIET_INPUT_ROOM
        }
    }

    pub(super) fn tidy_at(&self) -> Option<Instant> {
        self.tidy_at
    }
}

impl<S> Driver<S> {
    /// Lets the machine read as much as there is room for. Costs nothing while what is lent suffices.
    pub(super) fn lend(&mut self) {
        let outbox = u32::try_from(self.outbox.bytes()).unwrap_or(u32::MAX);
        let memory = &mut self.memory;
        loop {
            let room = memory.lease.allowance().saturating_sub(outbox);
            self.machine.set_read_budget(room);
            if !self.machine.reads_wait() || !memory.lease.grow() {
                break;
            }
        }
        memory.peak = memory
            .peak
            .max(self.machine.read_memory().saturating_add(outbox));
    }

    /// Gives back what was not needed since the last look.
    pub(super) fn tidy(&mut self, now: Instant) {
        if self.memory.tidy_at.is_none_or(|at| now < at) {
            return;
        }
        let memory = &mut self.memory;
        let heard = std::mem::take(&mut memory.heard);
        let peak = std::mem::take(&mut memory.peak);
        memory.lease.shrink_to(peak);
        memory.buffers.trim(peak as usize);
        let quiet = !heard && peak == 0;
        memory.tidy_at = (!quiet).then(|| now + QUIET_TIME);
        if quiet {
            self.outbox.trim();
            self.machine.trim();
            if self.inbox.is_empty() {
                self.inbox = BytesMut::new();
            }
        }
    }
}
