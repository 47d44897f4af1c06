//! Requests that are not SCSI commands: ping, SendTargets, logout.

use bytes::Bytes;
use iscsi_proto::pdu::{
    LogoutReason, LogoutRequest, LogoutResponse, NopIn, NopOut, Opcode, TextRequest, TextResponse,
};
use iscsi_proto::scsi::Lun;
use iscsi_proto::{Cid, CmdSn, Itt, StatSn, Ttt, text};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Initiator, InitiatorError, LoginFailure};

impl<S> Initiator<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Sends a ping and waits for its answer, reading whatever comes before.
    ///
    /// # Errors
    /// The connection is lost, or the target breaks the protocol.
    pub async fn ping(&mut self, data: &'static [u8]) -> Result<Bytes, InitiatorError> {
        let itt = self.itt();
        let nop = NopOut {
            immediate: true,
            lun: Lun::peripheral(0),
            itt,
            ttt: Ttt::RESERVED,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.wire.expected(),
        };
        self.wire
            .send(nop.encode(), Bytes::from_static(data))
            .await?;
        loop {
            let (bhs, data) = self.wire.receive().await?;
            if Opcode::of(&bhs) == Some(Opcode::NopIn) && NopIn::parse(&bhs)?.itt == itt {
                self.note(NopIn::parse(&bhs)?.numbers, true);
                return Ok(data);
            }
            self.take(&bhs, data).await?;
        }
    }

    /// Asks for the targets that we may use (RFC 7143 appendix C, SendTargets=All), in the target's order.
    ///
    /// # Errors
    /// The connection is lost, or the target breaks the protocol.
    pub async fn send_targets(&mut self) -> Result<Vec<(String, String)>, InitiatorError> {
        let itt = self.itt();
        let request = TextRequest {
            immediate: true,
            last: true,
            more: false,
            lun: Lun::peripheral(0),
            itt,
            ttt: Ttt::RESERVED,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.wire.expected(),
        };
        let text = text::encode(&[("SendTargets", "All")]);
        self.wire.send(request.encode(), text).await?;
        loop {
            let (bhs, data) = self.wire.receive().await?;
            if Opcode::of(&bhs) == Some(Opcode::TextResponse) {
                self.note(TextResponse::parse(&bhs)?.numbers, true);
                return text::parse(&data).map_err(|error| LoginFailure::Text(error).into());
            }
            self.take(&bhs, data).await?;
        }
    }

    /// Logs out and gives the stream back.
    ///
    /// # Errors
    /// The connection is lost before the answer, or the target refuses.
    pub async fn log_out(mut self) -> Result<S, InitiatorError> {
        let itt = self.itt();
        let request = LogoutRequest {
            immediate: true,
            reason: LogoutReason::CloseSession,
            itt,
            cid: Cid(0),
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.wire.expected(),
        };
        self.wire.send(request.encode(), Bytes::new()).await?;
        loop {
            let (bhs, data) = self.wire.receive().await?;
            if Opcode::of(&bhs) == Some(Opcode::LogoutResponse) {
                return match LogoutResponse::parse(&bhs)?.response {
                    0 => Ok(self.wire.into_stream()),
                    _ => Err(InitiatorError::Protocol("the logout was refused")),
                };
            }
            self.take(&bhs, data).await?;
        }
    }
}

/// "When a target sends a NOP-In with a valid TTT, the initiator MUST respond" (RFC 7143 §11.19), with the same data.
pub(super) fn nop_answer(pdu: &NopIn, cmd_sn: CmdSn, exp_stat_sn: StatSn) -> NopOut {
    NopOut {
        immediate: true,
        lun: pdu.lun,
        itt: Itt::RESERVED,
        ttt: pdu.ttt,
        cmd_sn,
        exp_stat_sn,
    }
}
