//! What waits to leave the machine: answers and effects.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::counts::{Counts, Ended};
use crate::effect::Effect;
use crate::pdu::Bhs;

/// What a PDU does with the status sequence number when it leaves (RFC 7143 §4.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusNumber {
    /// Carries a status: takes the next number.
    Takes,
    /// Shows the next number without taking it.
    Shows,
    /// Has none.
    Absent,
}

/// A PDU without its sequence numbers: they are given as it leaves, so that answers can overtake data.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) bhs: Bhs,
    pub(crate) data: Bytes,
    pub(crate) status_number: StatusNumber,
    /// The command whose status it carries.
    pub(crate) ends: Option<Ended>,
}

/// Answers and effects, each in order; and what there is to tell of those that came in.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    answers: VecDeque<Outgoing>,
    /// Of the data segments of `answers`.
    answer_bytes: usize,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) counts: Counts,
    /// When the last input came.
    pub(crate) now: Option<Instant>,
}

impl Outbox {
    /// Queues an answer that takes a status number.
    pub(crate) fn answer(&mut self, bhs: Bhs, data: Bytes) {
        self.push(bhs, data, StatusNumber::Takes);
    }

    pub(crate) fn push(&mut self, bhs: Bhs, data: Bytes, status_number: StatusNumber) {
        self.queue(Outgoing {
            bhs,
            data,
            status_number,
            ends: None,
        });
    }

    /// Queues the status of a command.
    pub(crate) fn end(&mut self, bhs: Bhs, data: Bytes, ended: Ended) {
        self.counts.command(ended.opcode, ended.end);
        self.queue(Outgoing {
            bhs,
            data,
            status_number: StatusNumber::Takes,
            ends: Some(ended),
        });
    }

    fn queue(&mut self, answer: Outgoing) {
        self.answer_bytes += answer.data.len();
        self.answers.push_back(answer);
    }

    /// The oldest answer.
    pub(crate) fn next_answer(&mut self) -> Option<Outgoing> {
        let answer = self.answers.pop_front()?;
        self.answer_bytes -= answer.data.len();
        Some(answer)
    }

    /// Answers that wait.
    pub(crate) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// Bytes of their data.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    /// Gives back the room that the queues had at their longest.
    pub(crate) fn trim(&mut self) {
        self.answers.shrink_to_fit();
        self.effects.shrink_to_fit();
    }
}
