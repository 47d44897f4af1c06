//! What a PDU of the target means to a [`Pipeline`].

use iscsi_proto::pdu::{
    AsyncMessage, BHS_LEN, Bhs, DataIn, LogoutResponse, NopIn, Numbers, Opcode, Reject,
    ScsiResponse,
};
use iscsi_proto::{Digests, Itt, Ttt, transmit};

use super::super::commands::Sense;
use super::super::requests::nop_answer;
use super::super::{CHECK_CONDITION, InitiatorError};
use super::input::data_len;
use super::{MAX_DEPTH, Pipeline, PipelineEvent, Segment};

impl<S> Pipeline<S> {
    /// Takes one PDU that is there; of a Data-In, its header.
    pub(super) fn pdu(
        &mut self,
        bhs: &Bhs,
    ) -> Result<Option<PipelineEvent<'static>>, InitiatorError> {
        self.input.take(BHS_LEN);
        let len = data_len(bhs);
        if Opcode::of(bhs) == Some(Opcode::DataIn) {
            self.data_in(&DataIn::parse(bhs)?, len)?;
            return Ok(None);
        }
        let data = self.input.take(len.next_multiple_of(4));
        let data = data.get(..len).unwrap_or_default();
        match Opcode::of(bhs) {
            Some(Opcode::ScsiResponse) => {
                // Sense data comes behind its length (RFC 7143 §11.4.7.1).
                let sense = data.get(2..).and_then(Sense::parse);
                self.response(&ScsiResponse::parse(bhs)?, sense).map(Some)
            }
            Some(Opcode::NopIn) => {
                let (pdu, data) = (NopIn::parse(bhs)?, data.to_vec());
                self.nop_in(&pdu, data);
                Ok(None)
            }
            Some(Opcode::AsyncMessage) => {
                let message = AsyncMessage::parse(bhs)?;
                self.note(message.numbers, true);
                // As in `Initiator::take`.
                let ends = (1..=3).contains(&message.event);
                Ok(ends.then_some(PipelineEvent::AskedToLogOut))
            }
            Some(Opcode::LogoutResponse) => match LogoutResponse::parse(bhs)?.response {
                0 => Ok(Some(PipelineEvent::LoggedOut)),
                _ => Err(InitiatorError::Protocol("the logout was refused")),
            },
            Some(Opcode::Reject) => {
                let tag = data.get(16..20).and_then(|tag| tag.first_chunk().copied());
                self.reject(&Reject::parse(bhs)?, tag.map(u32::from_be_bytes))
                    .map(Some)
            }
            _ => Err(InitiatorError::Protocol("an unexpected PDU")),
        }
    }

    fn data_in(&mut self, pdu: &DataIn, len: usize) -> Result<(), InitiatorError> {
        self.note(pdu.numbers, pdu.status.is_some());
        let slot = self.slot_of(pdu.itt)?;
        if let Some(Some(read)) = self.slots.get_mut(slot) {
            let count = u32::try_from(len).unwrap_or(u32::MAX);
            // We asked for DataPDUInOrder and DataSequenceInOrder.
            if pdu.buffer_offset != read.received {
                return Err(InitiatorError::Protocol("data out of order"));
            }
            if count > read.expected - read.received {
                return Err(InitiatorError::Protocol("more data than was asked for"));
            }
            read.received += count;
        }
        self.segment = Some(Segment {
            slot,
            offset: pdu.buffer_offset,
            left: len,
            padding: len.next_multiple_of(4) - len,
            status: pdu.status.map(|(status, _)| status),
        });
        Ok(())
    }

    fn response(
        &mut self,
        pdu: &ScsiResponse,
        sense: Option<Sense>,
    ) -> Result<PipelineEvent<'static>, InitiatorError> {
        self.note(pdu.numbers, true);
        if pdu.response != 0 {
            return Err(InitiatorError::Protocol("the target failed"));
        }
        let slot = self.slot_of(pdu.itt)?;
        self.ended(
            slot,
            pdu.status,
            sense.filter(|_| pdu.status == CHECK_CONDITION),
        )
    }

    /// The data is the rejected header (RFC 7143 §11.17.4); `tag` is its ITT.
    fn reject(
        &mut self,
        pdu: &Reject,
        tag: Option<u32>,
    ) -> Result<PipelineEvent<'static>, InitiatorError> {
        self.note(pdu.numbers, true);
        let slot = tag.and_then(|tag| self.slot_of(Itt(tag)).ok());
        let slot = slot.ok_or(InitiatorError::Rejected(pdu.reason))?;
        if let Some(rejected) = self.slots.get_mut(slot) {
            *rejected = None;
        }
        Ok(PipelineEvent::Rejected {
            slot,
            reason: pdu.reason,
        })
    }

    /// The read in `slot` has ended.
    pub(super) fn ended(
        &mut self,
        slot: usize,
        status: u8,
        sense: Option<Sense>,
    ) -> Result<PipelineEvent<'static>, InitiatorError> {
        let read = self.slots.get_mut(slot).and_then(Option::take);
        let read = read.ok_or(InitiatorError::Protocol("an answer to no command"))?;
        Ok(PipelineEvent::Ended {
            slot,
            status,
            sense,
            whole: read.received == read.expected,
        })
    }

    fn slot_of(&self, itt: Itt) -> Result<usize, InitiatorError> {
        let slot = itt.0 as usize % MAX_DEPTH;
        match self.slots.get(slot) {
            Some(Some(read)) if read.itt == itt => Ok(slot),
            _ => Err(InitiatorError::Protocol("an answer to no command")),
        }
    }

    fn nop_in(&mut self, pdu: &NopIn, data: Vec<u8>) {
        self.note(pdu.numbers, pdu.itt != Itt::RESERVED);
        if pdu.ttt == Ttt::RESERVED {
            return;
        }
        let answer = nop_answer(pdu, self.cmd_sn, self.exp_stat_sn);
        let answer = transmit(answer.encode(), data.into(), Digests::default());
        for part in [answer.head.as_ref(), &answer.data, answer.tail.as_ref()] {
            self.output.extend_from_slice(part);
        }
    }

    fn note(&mut self, numbers: Numbers, counts: bool) {
        if counts {
            self.exp_stat_sn = numbers.stat_sn.next();
        }
        if numbers.max_cmd_sn.ahead_of(self.max_cmd_sn) > 0 {
            self.max_cmd_sn = numbers.max_cmd_sn;
        }
    }
}
