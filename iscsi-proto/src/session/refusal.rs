//! Requests that are not carried out (RFC 7143 §11.17).

use bytes::Bytes;

use crate::counts::Fate;
use crate::outbox::Outbox;
use crate::pdu::{Bhs, Malformed, Numbers, Reject, RejectReason};

/// Why a request is not carried out.
pub(super) enum Refusal {
    /// The initiator is told, and the session goes on.
    Reject(RejectReason),
    /// The header contradicts itself.
    Format,
}

impl From<RejectReason> for Refusal {
    fn from(reason: RejectReason) -> Self {
        Self::Reject(reason)
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Format
    }
}

/// Answers with Reject, and counts the PDU.
pub(super) fn reject(reason: RejectReason, bhs: &Bhs, out: &mut Outbox) {
    out.counts.header(bhs, Fate::from(reason));
    send_reject(reason, bhs, out);
}

/// RFC 7143 §11.17.4: a Reject carries the header of what it rejects.
pub(super) fn send_reject(reason: RejectReason, bhs: &Bhs, out: &mut Outbox) {
    let pdu = Reject {
        reason: reason as u8,
        numbers: Numbers::default(),
        data_sn: 0,
    };
    out.answer(pdu.encode(), Bytes::copy_from_slice(bhs));
}
