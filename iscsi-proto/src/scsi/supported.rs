//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 6.35, 6.36).

use super::commands::{self, Command};
use super::outcome::Answer;
use super::request::{Request, data_in};
use super::sense::Sense;
use super::state::Device;

/// RECOMMENDED COMMAND TIMEOUT, in seconds, where blocks may come from far away.
const MEDIUM_SECONDS: u32 = 120;

/// RECOMMENDED COMMAND TIMEOUT, in seconds, where no block is read.
const PROMPT_SECONDS: u32 = 10;

/// Byte 0: ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET and TARGET RESET.
const TASK_MANAGEMENT: u8 = 0xDA;

pub(super) fn report_operation_codes(request: &Request<'_>, _: &Device) -> Answer {
    let cdb = request.cdb;
    let timeouts = cdb.has(2, 0x80);
    let (opcode, action) = (cdb.byte(3), cdb.number(4, 2));
    let known = || commands::all().filter(|command| command.opcode() == opcode);
    let has_actions = known().any(|command| command.service_action().is_some());
    let exact = known().find(|command| command.service_action().map_or(0, u64::from) == action);
    let data = match cdb.byte(2) & 0x07 {
        0b000 => all(timeouts),
        // An operation code with service actions needs 010b, one without needs 001b.
        0b001 if !has_actions => one(known().next(), timeouts),
        0b010 if has_actions || known().next().is_none() => one(exact, timeouts),
        0b011 => one(exact, timeouts),
        _ => return Err(Sense::cdb_bit(2, 2)),
    };
    Ok(data_in(data, cdb.length(6, 4)))
}

/// The all_commands parameter data: a descriptor of 8 bytes for each command, 20 with timeouts.
fn all(timeouts: bool) -> Vec<u8> {
    let descriptors: Vec<u8> = commands::all()
        .flat_map(|command| descriptor(command, timeouts))
        .collect();
    let mut data = (descriptors.len() as u32).to_be_bytes().to_vec();
    data.extend(descriptors);
    data
}

fn descriptor(command: &Command, timeouts: bool) -> Vec<u8> {
    let action = command.service_action();
    let flags = u8::from(timeouts) << 1 | u8::from(action.is_some());
    let mut descriptor = vec![command.opcode(), 0, 0, action.unwrap_or(0), 0, flags];
    descriptor.extend((command.usage().len() as u16).to_be_bytes());
    if timeouts {
        descriptor.extend(timeouts_descriptor(command));
    }
    descriptor
}

/// The one_command parameter data. SUPPORT: 011b as a standard says, 001b not supported.
fn one(command: Option<&Command>, timeouts: bool) -> Vec<u8> {
    let Some(command) = command else {
        return vec![0, 0b001, 0, 0];
    };
    let mut data = vec![0, u8::from(timeouts) << 7 | 0b011];
    data.extend((command.usage().len() as u16).to_be_bytes());
    data.extend(command.usage());
    if timeouts {
        data.extend(timeouts_descriptor(command));
    }
    data
}

/// Command timeouts descriptor (SPC-4 6.35.4); no nominal time is given.
fn timeouts_descriptor(command: &Command) -> [u8; 12] {
    let seconds = if command.is_slow() {
        MEDIUM_SECONDS
    } else {
        PROMPT_SECONDS
    };
    let [a, b, c, d] = seconds.to_be_bytes();
    [0, 0x0A, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

/// Basic data of 4 bytes, or with REPD extended data of 16 that names no timeouts.
pub(super) fn report_task_management(request: &Request<'_>, _: &Device) -> Answer {
    let mut data = vec![TASK_MANAGEMENT, 0, 0, 0];
    if request.cdb.has(2, 0x80) {
        data = vec![TASK_MANAGEMENT, 0, 0, 0x0C];
        data.resize(16, 0);
    }
    Ok(data_in(data, request.cdb.length(6, 4)))
}
