//! A session in full feature phase: which request goes where, what is under way.

mod command;
mod data_in;
mod data_out;
mod ending;
mod logout;
mod nop;
mod read_budget;
mod reads;
mod task;
mod task_management;
mod text_request;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use self::reads::Reads;
use self::task::Task;
use self::text_request::TextExchange;
use self::window::{Arrival, Window};
use crate::effect::SessionIdentity;
use crate::error::Error;
use crate::framing::Frame;
use crate::limits::COMMAND_WINDOW;
use crate::login::LoggedIn;
use crate::login::parameters::Parameters;
use crate::outbox::Outbox;
use crate::pdu::{
    LogoutRequest, NopOut, Numbers, Opcode, Reject, RejectReason, ScsiCommand, TaskRequest,
    TextRequest, is_immediate,
};
use crate::scsi::{InitiatorPort, Nexus, Target, TooManyNexuses};
use crate::types::{Cid, CmdSn, Itt, SessionKind, Ttt};

/// A session with its one connection.
pub(crate) struct Session {
    pub(crate) identity: SessionIdentity,
    target: Arc<Target>,
    /// `None` in a discovery session: no SCSI there.
    nexus: Option<Nexus>,
    /// Told in SendTargets.
    address: Option<String>,
    parameters: Parameters,
    cid: Cid,
    window: Window,
    tasks: BTreeMap<Itt, Task>,
    reads: Reads,
    /// Tasks with data to send, the longest ready first.
    ready: VecDeque<Itt>,
    /// Tasks that wait to ask for data.
    soliciting: VecDeque<Itt>,
    text: TextExchange,
    last_ttt: u32,
    /// We have asked for a logout: no new work.
    pub(crate) leaving: bool,
    /// Nothing more is taken or sent but the answers queued.
    pub(crate) closed: bool,
    pub(crate) commands: u64,
    pub(crate) bytes_read: u64,
}

impl Session {
    pub(crate) fn new(
        logged_in: LoggedIn,
        address: Option<String>,
    ) -> Result<Self, TooManyNexuses> {
        let LoggedIn {
            parameters,
            identity,
            access,
            request,
        } = logged_in;
        let nexus = match identity.kind {
            SessionKind::Discovery => None,
            SessionKind::Normal => {
                let name = identity.initiator.as_str().to_owned();
                Some(access.target.attach(InitiatorPort {
                    name,
                    isid: identity.isid.0,
                })?)
            }
        };
        Ok(Self {
            identity,
            target: access.target,
            nexus,
            address,
            parameters,
            cid: request.cid,
            window: Window::new(request.cmd_sn, COMMAND_WINDOW),
            tasks: BTreeMap::new(),
            reads: Reads::default(),
            ready: VecDeque::new(),
            soliciting: VecDeque::new(),
            text: TextExchange::default(),
            last_ttt: 0,
            leaving: false,
            closed: false,
            commands: 0,
            bytes_read: 0,
        })
    }

    /// Takes one PDU of the initiator.
    pub(crate) fn receive(&mut self, frame: Frame, out: &mut Outbox) -> Result<(), Error> {
        let bhs = frame.bhs;
        let result = match Opcode::of(&bhs) {
            Some(Opcode::LoginRequest) => return Err(Error::LoginAgain),
            Some(Opcode::DataOut | Opcode::Snack) if self.is_discovery() => {
                Err(RejectReason::ProtocolError)
            }
            Some(Opcode::DataOut) => self.data_out(&frame, out),
            Some(Opcode::Snack) => Err(RejectReason::Snack),
            Some(
                Opcode::NopOut
                | Opcode::ScsiCommand
                | Opcode::TaskRequest
                | Opcode::TextRequest
                | Opcode::LogoutRequest,
            ) => {
                self.numbered(frame, out);
                return Ok(());
            }
            _ => Err(RejectReason::NotSupported),
        };
        reject_if(result, &bhs, out);
        Ok(())
    }

    /// A request that has its place in the command window, or goes past it.
    fn numbered(&mut self, frame: Frame, out: &mut Outbox) {
        if frame.data_corrupt {
            // RFC 7143 §7.8: the command is discarded as if it had not come.
            return reject_if(Err(RejectReason::DataDigest), &frame.bhs, out);
        }
        if is_immediate(&frame.bhs) || is_unnumbered_nop(&frame) {
            return self.run(&frame, out);
        }
        if let Arrival::Run(frame) = self.window.arrive(cmd_sn(&frame), frame) {
            self.run(&frame, out);
            self.run_kept(out);
        }
    }

    /// Runs the commands that waited for one before them.
    fn run_kept(&mut self, out: &mut Outbox) {
        while let Some(frame) = self.window.next_kept() {
            self.run(&frame, out);
        }
    }

    fn run(&mut self, frame: &Frame, out: &mut Outbox) {
        if self.closed {
            return;
        }
        let result = self.dispatch(frame, out);
        reject_if(result, &frame.bhs, out);
    }

    fn dispatch(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), RejectReason> {
        let bhs = &frame.bhs;
        let opcode = Opcode::of(bhs).ok_or(RejectReason::NotSupported)?;
        if self.is_discovery() && !matches!(opcode, Opcode::TextRequest | Opcode::LogoutRequest) {
            return Err(RejectReason::ProtocolError);
        }
        if self.leaving && matches!(opcode, Opcode::ScsiCommand | Opcode::TextRequest) {
            return Err(RejectReason::WaitingForLogout);
        }
        let invalid = |_| RejectReason::InvalidField;
        match opcode {
            Opcode::ScsiCommand => {
                self.command(&ScsiCommand::parse(bhs).map_err(invalid)?, frame, out)
            }
            Opcode::NopOut => self.nop(&NopOut::parse(bhs).map_err(invalid)?, &frame.data, out),
            Opcode::TaskRequest => self.manage(&TaskRequest::parse(bhs).map_err(invalid)?, out),
            Opcode::TextRequest => {
                self.text(&TextRequest::parse(bhs).map_err(invalid)?, &frame.data, out)
            }
            Opcode::LogoutRequest => self.logout(&LogoutRequest::parse(bhs).map_err(invalid)?, out),
            _ => Err(RejectReason::NotSupported),
        }
    }

    /// ExpCmdSN and MaxCmdSN as they stand now.
    pub(crate) fn numbers(&mut self) -> Numbers {
        let under_way = self.tasks.len() - self.immediate_tasks();
        let free = COMMAND_WINDOW.saturating_sub(u32::try_from(under_way).unwrap_or(u32::MAX));
        Numbers {
            exp_cmd_sn: self.window.expected(),
            max_cmd_sn: self.window.last(free),
            ..Numbers::default()
        }
    }

    /// RFC 7143 §4.3: a discovery session takes SendTargets and logout; all else MUST be rejected.
    fn is_discovery(&self) -> bool {
        self.identity.kind == SessionKind::Discovery
    }

    fn immediate_tasks(&self) -> usize {
        self.tasks.values().filter(|task| task.immediate).count()
    }

    fn next_ttt(&mut self) -> Ttt {
        self.last_ttt = self.last_ttt.wrapping_add(1);
        if Ttt(self.last_ttt) == Ttt::RESERVED {
            self.last_ttt = 0;
        }
        Ttt(self.last_ttt)
    }
}

impl Drop for Session {
    /// However a session ends, its nexus ends with it.
    fn drop(&mut self) {
        if let Some(nexus) = &self.nexus {
            self.target.nexus_lost(nexus);
        }
    }
}

/// RFC 7143 §11.17: a Reject carries the header of what it rejects.
fn reject_if(result: Result<(), RejectReason>, bhs: &[u8; 48], out: &mut Outbox) {
    if let Err(reason) = result {
        let pdu = Reject {
            reason: reason as u8,
            numbers: Numbers::default(),
            data_sn: 0,
        };
        out.answer(pdu.encode(), Bytes::copy_from_slice(bhs));
    }
}

fn cmd_sn(frame: &Frame) -> CmdSn {
    let [_, _, _, _, _, _, word, ..] = frame.bhs.as_chunks::<4>().0 else {
        return CmdSn(0);
    };
    CmdSn(u32::from_be_bytes(*word))
}

/// RFC 7143 §11.18: a NOP-Out that wants no answer takes no command number.
fn is_unnumbered_nop(frame: &Frame) -> bool {
    NopOut::parse(&frame.bhs).is_ok_and(|nop| nop.itt == Itt::RESERVED)
}
