//! Text requests: SendTargets and the few keys that may change later (RFC 7143 §11.10, appendix C).

use bytes::{Bytes, BytesMut};

use super::Session;
use crate::login::PORTAL_GROUP;
use crate::login::keys::{self, Allowed, Name, Rule};
use crate::login::negotiate::{Answer, negotiate};
use crate::login::parameters::Parameters;
use crate::names::TargetName;
use crate::outbox::Outbox;
use crate::pdu::{Numbers, RejectReason, TextRequest, TextResponse};
use crate::scsi::Lun;
use crate::text::{self, Gather, Pair, TextError};
use crate::types::{Itt, Ttt};

/// A negotiation that takes several PDUs. There is one at a time.
#[derive(Debug, Default)]
pub(super) struct TextExchange {
    gather: Gather,
    /// What the initiator has not taken yet.
    reply: BytesMut,
    /// What its next request has to carry.
    awaited: Option<(Itt, Ttt)>,
    /// Bit n: key n of the table has been there.
    seen: u64,
    /// What the negotiation has settled so far; in effect once it ends well (RFC 7143 §6.2).
    settled: Option<Parameters>,
    /// A key was rejected: nothing takes effect (RFC 7143 §7.12).
    failed: bool,
}

impl Session {
    pub(super) fn text(
        &mut self,
        request: &TextRequest,
        data: &Bytes,
        out: &mut Outbox,
    ) -> Result<(), RejectReason> {
        if request.itt == Itt::RESERVED {
            return Err(RejectReason::InvalidField);
        }
        if request.ttt == Ttt::RESERVED {
            // RFC 7143 §11.10.4: a new negotiation; an unfinished one is over.
            self.text = TextExchange::default();
        } else if self.text.awaited != Some((request.itt, request.ttt)) {
            return Err(RejectReason::InvalidField);
        }
        // RFC 7143 §6.2: who is sent a reply with C set "MUST answer with ... no data segment". Else a reply that is
        // taken in small pieces would grow by each request.
        if !self.text.reply.is_empty() && !data.is_empty() {
            self.text = TextExchange::default();
            return Err(RejectReason::ProtocolError);
        }
        if let Err(reason) = self.take_text(data, request.more) {
            self.text = TextExchange::default();
            return Err(reason);
        }
        self.send_reply(request, out);
        Ok(())
    }

    fn take_text(&mut self, data: &Bytes, more: bool) -> Result<(), RejectReason> {
        let pairs = match self.text.gather.add(data, more) {
            Ok(Some(pairs)) => pairs,
            Ok(None) => return Ok(()),
            // RFC 7143 §6.4: what is negotiated twice is a protocol error.
            Err(TextError::RepeatedKey) => return Err(RejectReason::ProtocolError),
            Err(_) => return Err(RejectReason::InvalidField),
        };
        let answers = self.answer_keys(&pairs)?;
        self.text.reply.extend_from_slice(&text::encode(&answers));
        Ok(())
    }

    /// Sends as much of the reply as fits into one PDU.
    fn send_reply(&mut self, request: &TextRequest, out: &mut Outbox) {
        let longest = self.parameters.max_send_data_segment as usize;
        let gathering = self.text.gather.is_waiting();
        let piece = if gathering {
            0
        } else {
            self.text.reply.len().min(longest)
        };
        let data = self.text.reply.split_to(piece).freeze();
        let more = !gathering && !self.text.reply.is_empty();
        let last = request.last && !more;
        let ttt = if last { Ttt::RESERVED } else { self.next_ttt() };
        self.text.awaited = (!last).then_some((request.itt, ttt));
        if last
            && !self.text.failed
            && let Some(settled) = self.text.settled.take()
        {
            self.parameters = settled;
        }
        let numbers = Numbers::default();
        let pdu = TextResponse {
            last,
            more,
            // Reserved without a tag.
            lun: if last {
                Lun::peripheral(0)
            } else {
                request.lun
            },
            itt: request.itt,
            ttt,
            numbers,
        };
        out.answer(pdu.encode(), data);
    }

    fn answer_keys(&mut self, pairs: &[Pair]) -> Result<Vec<Pair>, RejectReason> {
        let mut answers = Vec::new();
        for (name, value) in pairs {
            let known = keys::find(name);
            let asks = matches!(known, Some((_, key)) if matches!(key.rule, Rule::SendTargets));
            // RFC 7143 §4.3: a discovery session takes Text Requests with SendTargets only.
            if text::is_answer(value) || (self.is_discovery() && !asks) {
                return Err(RejectReason::ProtocolError);
            }
            let mut answer = |value: &str| answers.push((name.clone(), value.to_owned()));
            let Some((at, key)) = known else {
                answer("NotUnderstood");
                continue;
            };
            if self.text.seen & (1 << at) != 0 {
                return Err(RejectReason::ProtocolError);
            }
            self.text.seen |= 1 << at;
            let settled = self.text.settled.get_or_insert(self.parameters);
            match (key.allowed, key.rule) {
                (_, Rule::SendTargets) => match self.is_asked_for(value) {
                    Some(true) => self.tell_target(&mut answers),
                    // A target that is not the caller's is as good as none.
                    Some(false) => {}
                    None => answer("Reject"),
                },
                (Allowed::OperationalAndLater, _)
                    if negotiate(key, value, settled) == Answer::Declared => {}
                // RFC 7143 §13.7: in full feature phase too. It is of no use to us.
                (_, Rule::Names(Name::Alias)) => {}
                _ => {
                    self.text.failed = true;
                    answer("Reject");
                }
            }
        }
        Ok(answers)
    }

    /// Whether a value of SendTargets means our target; `None`: it means nothing.
    ///
    /// Appendix C keeps `All` for discovery sessions. Every initiator has one target only, so it learns
    /// nothing by it in a normal one, and libiscsi asks there.
    fn is_asked_for(&self, value: &str) -> Option<bool> {
        if value.is_empty() || value == "All" {
            return Some(true);
        }
        TargetName::parse(value)
            .ok()
            .map(|name| name == self.identity.target)
    }

    /// Without an address the initiator stays at the one that it came by, which is its tunnel.
    fn tell_target(&self, answers: &mut Vec<Pair>) {
        answers.push(("TargetName".to_owned(), self.identity.target.to_string()));
        if let Some(address) = &self.address {
            answers.push((
                "TargetAddress".to_owned(),
                format!("{address},{PORTAL_GROUP}"),
            ));
        }
    }
}
