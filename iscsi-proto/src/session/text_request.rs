//! Text requests: SendTargets and the few keys that may change later (RFC 7143 §11.10, appendix C).

use bytes::{Bytes, BytesMut};

use super::Session;
use crate::login::PORTAL_GROUP;
use crate::login::keys::{self, Allowed, Rule};
use crate::login::negotiate::{Answer, negotiate};
use crate::names::TargetName;
use crate::outbox::Outbox;
use crate::pdu::{Numbers, RejectReason, TextRequest, TextResponse};
use crate::text::{self, Gather, Pair};
use crate::types::{Itt, Ttt};

/// A negotiation that takes several PDUs. There is one at a time.
#[derive(Debug, Default)]
pub(super) struct TextExchange {
    gather: Gather,
    /// What the initiator has not taken yet.
    reply: BytesMut,
    /// What its next request has to carry.
    awaited: Option<Ttt>,
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
        } else if self.text.awaited != Some(request.ttt) {
            return Err(RejectReason::InvalidField);
        }
        // RFC 7143 §6.2: who is sent a reply with C set "MUST answer with ... no data segment". Else a reply that is
        // taken in small pieces would grow by each request.
        if !self.text.reply.is_empty() && !data.is_empty() {
            self.text = TextExchange::default();
            return Err(RejectReason::ProtocolError);
        }
        let pairs = match self.text.gather.add(data, request.more) {
            Ok(pairs) => pairs,
            Err(_) => {
                self.text = TextExchange::default();
                return Err(RejectReason::InvalidField);
            }
        };
        if let Some(pairs) = pairs {
            let answers = self.answer_keys(&pairs);
            self.text.reply.extend_from_slice(&text::encode(&answers));
        }
        self.send_reply(request, out);
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
        self.text.awaited = (!last).then_some(ttt);
        let numbers = Numbers::default();
        let pdu = TextResponse {
            last,
            more,
            lun: request.lun,
            itt: request.itt,
            ttt,
            numbers,
        };
        out.answer(pdu.encode(), data);
    }

    fn answer_keys(&mut self, pairs: &[Pair]) -> Vec<Pair> {
        let mut answers = Vec::new();
        for (name, value) in pairs {
            let mut answer = |value: &str| answers.push((name.clone(), value.to_owned()));
            let Some((_, key)) = keys::find(name) else {
                answer("NotUnderstood");
                continue;
            };
            match (key.allowed, key.rule) {
                (_, Rule::SendTargets) => match self.is_asked_for(value) {
                    Some(true) => self.tell_target(&mut answers),
                    // A target that is not the caller's is as good as none.
                    Some(false) => {}
                    None => answer("Reject"),
                },
                (Allowed::OperationalAndLater, _) => {
                    if negotiate(key, value, &mut self.parameters) != Answer::Declared {
                        answer("Reject");
                    }
                }
                _ => answer("Reject"),
            }
        }
        answers
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
