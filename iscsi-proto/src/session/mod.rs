//! A session in full feature phase: which request goes where, what is under way.

mod command;
mod data_in;
mod data_out;
mod ending;
mod logout;
mod nop;
mod read_budget;
mod reads;
mod refusal;
mod task;
mod task_management;
mod text_request;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::reads::Reads;
use self::refusal::{Refusal, reject};
use self::task::Task;
use self::text_request::TextExchange;
use self::window::{Arrival, Window};
use crate::counts::{Fate, PduKind};
use crate::effect::SessionIdentity;
use crate::error::Error;
use crate::framing::Frame;
use crate::limits::COMMAND_WINDOW;
use crate::login::LoggedIn;
use crate::login::parameters::Parameters;
use crate::outbox::Outbox;
use crate::pdu::{
    LogoutRequest, NopOut, Numbers, Opcode, RejectReason, ScsiCommand, TaskRequest, TextRequest,
    is_immediate,
};
use crate::scsi::{InitiatorPort, Nexus, Target, TooManyNexuses};
use crate::status::SessionEnd;
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
    /// Those of `tasks` that are immediate: each PDU that leaves tells how much of the window the others take.
    immediate_tasks: usize,
    /// Bytes that `tasks` have to send and that are not of the disk.
    pub(crate) parameter_bytes: usize,
    reads: Reads,
    /// Tasks with data to send, the longest ready first.
    ready: VecDeque<Itt>,
    /// Tasks that wait to ask for data.
    soliciting: VecDeque<Itt>,
    text: TextExchange,
    /// Task management requests that wait for the commands before them.
    waiting: VecDeque<TaskRequest>,
    last_ttt: u32,
    /// We have asked for a logout: no new work.
    pub(crate) leaving: bool,
    /// Nothing more is taken or sent but the answers queued.
    pub(crate) closed: bool,
    pub(crate) end: Option<SessionEnd>,
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
            immediate_tasks: 0,
            parameter_bytes: 0,
            reads: Reads::default(),
            ready: VecDeque::new(),
            soliciting: VecDeque::new(),
            text: TextExchange::default(),
            waiting: VecDeque::new(),
            last_ttt: 0,
            leaving: false,
            closed: false,
            end: None,
            commands: 0,
            bytes_read: 0,
        })
    }

    /// Takes one PDU of the initiator.
    pub(crate) fn receive(&mut self, frame: Frame, out: &mut Outbox) -> Result<(), Error> {
        let bhs = frame.bhs;
        let result = match Opcode::of(&bhs) {
            Some(Opcode::LoginRequest) => {
                out.counts.header(&bhs, Fate::ClosedLoginAgain);
                return Err(Error::LoginAgain);
            }
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
            ) => return self.request(frame, out),
            _ => Err(RejectReason::NotSupported),
        };
        match result {
            Ok(fate) => out.counts.header(&bhs, fate),
            Err(reason) => reject(reason, &bhs, out),
        }
        Ok(())
    }

    /// A request that has its place in the command window, or goes past it.
    fn request(&mut self, frame: Frame, out: &mut Outbox) -> Result<(), Error> {
        if frame.data_corrupt {
            // RFC 7143 §7.8: the command is discarded as if it had not come.
            reject(RejectReason::DataDigest, &frame.bhs, out);
            return Ok(());
        }
        let number = cmd_sn(&frame);
        // A logout that we asked for waits for nothing: no command before it will run. Its number counts all the same.
        let asked_for = self.leaving
            && Opcode::of(&frame.bhs) == Some(Opcode::LogoutRequest)
            && self.window.may_come(number);
        if is_immediate(&frame.bhs) || is_unnumbered_nop(&frame) {
            self.run(&frame, out)?;
        } else if asked_for {
            if self.run(&frame, out)? {
                self.window.skip(number);
            }
        } else {
            let bhs = frame.bhs;
            match self.window.arrive(number, frame, self.held_from()) {
                Arrival::Run(frame) => {
                    if !self.run(&frame, out)? {
                        self.window.give_back(number);
                    }
                }
                // Counted when its turn comes.
                Arrival::Kept => {}
                Arrival::Ignored => out.counts.header(&bhs, Fate::IgnoredOutsideWindow),
            }
        }
        let result = self.run_waiting(out);
        for _ in 0..self.window.take_ended() {
            out.counts.pdu(PduKind::ScsiCommand, Fate::IgnoredAborted);
        }
        result
    }

    /// Runs what has waited for the commands before it: task management first.
    fn run_waiting(&mut self, out: &mut Outbox) -> Result<(), Error> {
        loop {
            self.manage_waiting(out);
            let before = self.window.expected();
            let Some(frame) = self.window.next_kept(self.held_from()) else {
                // Numbers that were passed over may be what task management has waited for.
                if self.window.expected() == before {
                    return Ok(());
                }
                continue;
            };
            if !self.run(&frame, out)? {
                self.window.give_back(cmd_sn(&frame));
                return Ok(());
            }
        }
    }

    /// `false`: it was rejected.
    fn run(&mut self, frame: &Frame, out: &mut Outbox) -> Result<bool, Error> {
        if self.closed {
            out.counts.header(&frame.bhs, Fate::IgnoredAfterEnd);
            return Ok(true);
        }
        match self.dispatch(frame, out) {
            Ok(()) => {
                out.counts.header(&frame.bhs, Fate::Accepted);
                Ok(true)
            }
            Err(Refusal::Reject(reason)) => {
                reject(reason, &frame.bhs, out);
                Ok(false)
            }
            // RFC 7143 §7.7: a format error "MUST immediately terminate" the connection.
            Err(Refusal::Format) => {
                out.counts.header(&frame.bhs, Fate::ClosedFormat);
                Err(Error::Format)
            }
        }
    }

    fn dispatch(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Refusal> {
        let bhs = &frame.bhs;
        let opcode = Opcode::of(bhs).ok_or(RejectReason::NotSupported)?;
        if self.is_discovery() && !matches!(opcode, Opcode::TextRequest | Opcode::LogoutRequest) {
            return Err(RejectReason::ProtocolError.into());
        }
        if self.leaving && matches!(opcode, Opcode::ScsiCommand | Opcode::TextRequest) {
            return Err(RejectReason::WaitingForLogout.into());
        }
        match opcode {
            Opcode::ScsiCommand => self.command(&ScsiCommand::parse(bhs)?, frame, out)?,
            Opcode::NopOut => self.nop(&NopOut::parse(bhs)?, &frame.data, out),
            Opcode::TaskRequest => self.manage(&TaskRequest::parse(bhs)?, out)?,
            Opcode::TextRequest => self.text(&TextRequest::parse(bhs)?, &frame.data, out)?,
            Opcode::LogoutRequest => self.logout(&LogoutRequest::parse(bhs)?, out)?,
            _ => return Err(RejectReason::NotSupported.into()),
        }
        Ok(())
    }

    /// ExpCmdSN and MaxCmdSN as they stand now.
    pub(crate) fn numbers(&mut self) -> Numbers {
        let under_way = self.tasks.len() - self.immediate_tasks;
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

fn cmd_sn(frame: &Frame) -> CmdSn {
    let [_, _, _, _, _, _, word, ..] = frame.bhs.as_chunks::<4>().0 else {
        return CmdSn(0);
    };
    CmdSn(u32::from_be_bytes(*word))
}

/// RFC 7143 §11.18.1: a NOP-Out that wants no answer takes no command number.
fn is_unnumbered_nop(frame: &Frame) -> bool {
    NopOut::parse(&frame.bhs).is_ok_and(|nop| nop.itt == Itt::RESERVED)
}
