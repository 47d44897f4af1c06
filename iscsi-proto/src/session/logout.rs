//! Logout (RFC 7143 §11.14, §11.15), and asking for it (§11.9).

use bytes::Bytes;

use super::Session;
use crate::effect::ShutDown;
use crate::limits::LOGOUT_DEADLINE;
use crate::outbox::Outbox;
use crate::pdu::{
    AsyncEvent, AsyncMessage, LogoutReason, LogoutRequest, LogoutResponse, LogoutResult, Numbers,
    RejectReason,
};
use crate::scsi::Lun;
use crate::status::SessionEnd;
use crate::types::Itt;

impl Session {
    pub(super) fn logout(
        &mut self,
        request: &LogoutRequest,
        out: &mut Outbox,
    ) -> Result<(), RejectReason> {
        // RFC 7143 §4.3: a discovery session takes "close the session" only.
        if self.is_discovery() && request.reason != LogoutReason::CloseSession {
            return Err(RejectReason::ProtocolError);
        }
        if request.itt == Itt::RESERVED {
            return Err(RejectReason::InvalidField);
        }
        let result = match request.reason {
            LogoutReason::CloseSession => LogoutResult::Closed,
            LogoutReason::CloseConnection if request.cid == self.cid => LogoutResult::Closed,
            LogoutReason::CloseConnection => LogoutResult::NoSuchConnection,
            LogoutReason::RemoveForRecovery => LogoutResult::RecoveryNotSupported,
            // RFC 7143 §11: a reserved value of a field is a protocol error.
            LogoutReason::Other(_) => return Err(RejectReason::ProtocolError),
        };
        let pdu = LogoutResponse {
            response: result as u8,
            itt: request.itt,
            numbers: Numbers::default(),
            time2wait: u16::try_from(self.parameters.time2wait).unwrap_or(u16::MAX),
            time2retain: 0,
        };
        // RFC 7143 §11.14: outstanding tasks end without an answer.
        if result == LogoutResult::Closed {
            self.end_as(SessionEnd::LoggedOut, out);
        }
        out.answer(pdu.encode(), Bytes::new());
        Ok(())
    }

    /// Stops all work and asks for a logout, or, where a new session takes the place of this one,
    /// says that it is over.
    pub(crate) fn leave(&mut self, why: ShutDown, out: &mut Outbox) {
        // After its last answer a session has nothing more to say.
        if self.closed || std::mem::replace(&mut self.leaving, true) {
            return;
        }
        // RFC 7143 §7.4.3: a discovery session hears no asynchronous message; it may simply end.
        if self.is_discovery() {
            self.close(out);
            return;
        }
        self.drop_tasks(|_| true, out);
        let (event, parameters) = match why {
            ShutDown::Revoked | ShutDown::Expired | ShutDown::ServerStopping => {
                let seconds = u16::try_from(LOGOUT_DEADLINE.as_secs()).unwrap_or(u16::MAX);
                (AsyncEvent::LogoutRequest, [0, 0, seconds])
            }
            ShutDown::Reinstated => {
                self.closed = true;
                (AsyncEvent::SessionDropped, [0; 3])
            }
        };
        let pdu = AsyncMessage {
            lun: Lun::peripheral(0),
            numbers: Numbers::default(),
            event: event as u8,
            vendor: 0,
            parameters,
        };
        out.answer(pdu.encode(), Bytes::new());
    }
}
