//! NOP-Out and NOP-In (RFC 7143 §11.18, §11.19).

use bytes::Bytes;

use super::Session;
use crate::outbox::{Outbox, StatusNumber};
use crate::pdu::{NopIn, NopOut, Numbers};
use crate::scsi::Lun;
use crate::types::{Itt, Ttt};

impl Session {
    /// Answers a ping; takes the answer to ours.
    pub(super) fn nop(&mut self, nop: &NopOut, data: &Bytes, out: &mut Outbox) {
        // Without a task tag no answer is wanted. That it came at all shows that the peer lives.
        if nop.itt == Itt::RESERVED {
            return;
        }
        // RFC 7143 §11.19: ping data comes back, as much as the initiator takes.
        let longest = self.parameters.max_send_data_segment as usize;
        // A copy: a slice would keep the caller's whole input buffer alive while it waits.
        let echo = Bytes::copy_from_slice(data.get(..longest).unwrap_or(data));
        let numbers = Numbers::default();
        let pdu = NopIn {
            // Reserved without a target transfer tag.
            lun: Lun::peripheral(0),
            itt: nop.itt,
            ttt: Ttt::RESERVED,
            numbers,
        };
        out.answer(pdu.encode(), echo);
    }

    /// Tells the command numbers as they are now, and wants no answer.
    pub(super) fn tell_numbers(&mut self, out: &mut Outbox) {
        let pdu = NopIn {
            lun: Lun::peripheral(0),
            itt: Itt::RESERVED,
            ttt: Ttt::RESERVED,
            numbers: Numbers::default(),
        };
        out.push(pdu.encode(), Bytes::new(), StatusNumber::Shows);
    }

    /// Asks whether the initiator is still there.
    pub(crate) fn ping(&mut self, out: &mut Outbox) {
        let ttt = self.next_ttt();
        let numbers = Numbers::default();
        let pdu = NopIn {
            lun: Lun::peripheral(0),
            itt: Itt::RESERVED,
            ttt,
            numbers,
        };
        out.push(pdu.encode(), Bytes::new(), StatusNumber::Shows);
    }
}
