//! SCSI commands and their ends (RFC 7143 §11.3, §11.4).

use bytes::{BufMut, Bytes, BytesMut};

use super::Session;
use super::task::{Asked, Collect, Purpose, Task, Transfer, Work};
use crate::counts::CommandEnd;
use crate::effect::{Effect, Reset};
use crate::framing::Frame;
use crate::limits::IMMEDIATE_COMMANDS;
use crate::outbox::Outbox;
use crate::pdu::{Numbers, RejectReason, ScsiCommand, ScsiResponse};
use crate::scsi::{Cdb, Condition, Outcome, Sense};
use crate::types::{Itt, Ttt};

impl Session {
    pub(super) fn command(
        &mut self,
        command: &ScsiCommand,
        frame: &Frame,
        out: &mut Outbox,
    ) -> Result<(), RejectReason> {
        if command.itt == Itt::RESERVED {
            return Err(RejectReason::InvalidField);
        }
        if self.tasks.contains_key(&command.itt) {
            return Err(RejectReason::ProtocolError);
        }
        // RFC 7143 §4.2.2.1: immediate commands have no window, so there is a limit of their own.
        let full = self.immediate_tasks >= IMMEDIATE_COMMANDS;
        if command.immediate && (full || self.held_from().is_some()) {
            return Err(RejectReason::TooManyImmediate);
        }
        // RFC 7143 §11: a reserved value of a field is a protocol error. 0 to 4 are defined.
        if command.attribute > 4 {
            return Err(RejectReason::ProtocolError);
        }
        self.commands += 1;
        let Some(nexus) = &self.nexus else {
            return Err(RejectReason::ProtocolError);
        };
        let mut task = Task::new(command, nexus.aborts(command.lun), out.now);
        let unasked = command.write && !command.last;
        if unasked || !frame.data.is_empty() {
            self.refuse_unsolicited(command.itt, task, unasked, out);
            return Ok(());
        }
        // RFC 7143 §11.3.4: data in both directions. No command here has that, and a GOOD would say that all of it had come.
        let both = command.read && command.write;
        if both && (command.expected_len > 0 || !frame.ahs.is_empty()) {
            let sense = Sense::new(Condition::InvalidFieldInCdb);
            self.check_condition(command.itt, &task, sense, 0, out);
            return Ok(());
        }
        match self.execute(&task, None) {
            Some(Outcome::NeedData(len)) => {
                let wanted = len.min(task.offered());
                task.work = Work::Collect(Collect {
                    buffer: BytesMut::new(),
                    wanted,
                    reserved: false,
                    asked: None,
                    failure: None,
                });
                self.enter(command.itt, task);
                self.collect_more(command.itt, out);
                self.ask_for_data(out);
            }
            Some(outcome) => self.carry_out(command.itt, task, outcome, out),
            None => return Err(RejectReason::ProtocolError),
        }
        Ok(())
    }

    /// RFC 7143 §13.11: with InitialR2T=Yes and ImmediateData=No, the target "MUST reject unsolicited
    /// data". `announced`: Data-Out follows, and §11.4.2 has the response wait for its end.
    fn refuse_unsolicited(&mut self, itt: Itt, mut task: Task, announced: bool, out: &mut Outbox) {
        task.work = Work::Collect(Collect {
            buffer: BytesMut::new(),
            wanted: 0,
            reserved: false,
            asked: announced.then_some(Asked {
                ttt: Ttt::RESERVED,
                end: 0,
                data_sn: 0,
            }),
            failure: Some(Condition::UnexpectedUnsolicitedData),
        });
        self.enter(itt, task);
        if !announced {
            let sense = Sense::new(Condition::UnexpectedUnsolicitedData);
            self.fail(itt, sense, out);
        }
    }

    /// All data of a command is there.
    pub(super) fn command_with_data(&mut self, itt: Itt, out: &mut Outbox) {
        let Some(mut task) = self.remove(itt, out) else {
            return;
        };
        let Work::Collect(collect) = std::mem::replace(&mut task.work, Work::Starting) else {
            return;
        };
        let data = collect.buffer.freeze();
        let outcome = match self.execute(&task, Some(&data)) {
            // The initiator offered less than the command needs.
            Some(Outcome::NeedData(_)) | None => {
                Outcome::CheckCondition(Sense::new(Condition::ParameterListLengthError))
            }
            Some(outcome) => outcome,
        };
        task.taken = data.len() as u64;
        self.carry_out(itt, task, outcome, out);
    }

    fn execute(&self, task: &Task, data: Option<&[u8]>) -> Option<Outcome> {
        let nexus = self.nexus.as_ref()?;
        Some(
            self.target
                .execute(nexus, task.lun, &Cdb::parse(&task.cdb), data),
        )
    }

    /// Does what the device server says.
    fn carry_out(&mut self, itt: Itt, task: Task, outcome: Outcome, out: &mut Outbox) {
        let burst = self.parameters.max_burst;
        let room = task.room();
        let transfer = match outcome {
            Outcome::Data(data) => Transfer::of_bytes(data, room, burst),
            Outcome::Read(range) => {
                let total = u32::try_from(range.len()).unwrap_or(u32::MAX).min(room);
                Transfer::of_blocks(Purpose::Deliver(range), range, total, burst)
            }
            Outcome::Check(range) => Transfer::of_blocks(Purpose::Check(range), range, 0, burst),
            Outcome::Compare(comparison) => {
                let range = comparison.range();
                Transfer::of_blocks(Purpose::Compare(comparison), range, 0, burst)
            }
            Outcome::Good => return respond(itt, &task, CommandEnd::Good, None, 0, out),
            Outcome::OthersAborted => {
                let reset = Reset::LogicalUnit(task.lun);
                out.effects.push_back(Effect::ResetOthers(reset));
                return respond(itt, &task, CommandEnd::Good, None, 0, out);
            }
            Outcome::ReservationConflict => {
                return respond(itt, &task, CommandEnd::ReservationConflict, None, 0, out);
            }
            Outcome::CheckCondition(sense) => {
                return self.check_condition(itt, &task, sense, 0, out);
            }
            Outcome::NeedData(_) => {
                let sense = Sense::new(Condition::ParameterListLengthError);
                return self.check_condition(itt, &task, sense, 0, out);
            }
        };
        self.begin_transfer(itt, task, transfer, out);
    }

    /// Ends a task with CHECK CONDITION. What was sent of its data counts in the residual.
    pub(super) fn fail(&mut self, itt: Itt, sense: Sense, out: &mut Outbox) {
        let Some(mut task) = self.remove(itt, out) else {
            return;
        };
        let sent = task.transfer().map_or(0, |transfer| transfer.sent);
        self.check_condition(itt, &task, sense, u64::from(sent), out);
    }

    fn check_condition(&self, itt: Itt, task: &Task, sense: Sense, sent: u64, out: &mut Outbox) {
        let end = CommandEnd::CheckCondition(sense.key());
        let sense = self.encode(task, sense);
        respond(itt, task, end, Some(sense), sent, out);
    }

    /// Ends a task with GOOD where no Data-In can carry the status.
    pub(super) fn end_good(&mut self, itt: Itt, actual: u64, out: &mut Outbox) {
        if let Some(task) = self.remove(itt, out) {
            respond(itt, &task, CommandEnd::Good, None, actual, out);
        }
    }

    /// Sense data as a data segment: its length, then itself (RFC 7143 §11.4.7).
    fn encode(&self, task: &Task, sense: Sense) -> Bytes {
        let sense = sense.encode(self.target.sense_form(task.lun));
        let mut segment = BytesMut::with_capacity(2 + sense.len());
        segment.put_u16(u16::try_from(sense.len()).unwrap_or(u16::MAX));
        segment.put_slice(&sense);
        segment.freeze()
    }
}

/// Queues the SCSI Response. `sent`: bytes that the command had for the initiator.
fn respond(
    itt: Itt,
    task: &Task,
    end: CommandEnd,
    sense: Option<Bytes>,
    sent: u64,
    out: &mut Outbox,
) {
    let pdu = ScsiResponse {
        response: 0,
        status: end.status().unwrap_or_default(),
        itt,
        numbers: Numbers::default(),
        exp_data_sn: task.data_in_sent(),
        residual: task.residual(sent),
    };
    out.end(
        pdu.encode(),
        sense.unwrap_or_default(),
        task.ended(itt, end),
    );
}
