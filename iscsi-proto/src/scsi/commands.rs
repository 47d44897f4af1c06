//! The one registry of operation codes. The device server finds handlers in it, refuses reserved
//! bits by it, and REPORT SUPPORTED OPERATION CODES is made from it.

use super::cdb::Cdb;
use super::outcome::Answer;
use super::request::Request;
use super::sense::Sense;
use super::state::Device;
use super::{
    capacity, defects, inquiry, lba_status, medium, mode_select, mode_sense, persistent_in,
    persistent_out, read, report_luns, request_sense, reserve, supported, verify, write_protected,
};

/// One command, or one service action of one.
pub(super) struct Command {
    /// The CDB usage map (SPC-4 6.35.3): byte 0 the operation code, a service action in its place,
    /// and a one for each bit that is looked at. Everything else must be zero.
    usage: [u8; 16],
    length: usize,
    has_service_action: bool,
    access: Access,
    pub(super) run: Run,
}

/// What a command does, for reservations: the tables of commands "allowed in the presence of various
/// reservations" in SPC-2 (RESERVE), SPC-4 5.13 and SBC-3 (persistent reservations).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Allowed whatever is reserved, even by RESERVE.
    Always,
    /// Allowed whatever is reserved persistently: looks at the device only, or judges for itself.
    Free,
    /// Reads the medium, or what commands there are: conflicts with exclusive access.
    Reading,
    /// Changes medium or device: conflicts with any reservation.
    Changing,
    /// Bit 0 of byte 4 decides: `Always` where it has this value, `Changing` where it does not.
    AlwaysIf(u8),
}

/// How a command is carried out.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// Answered even where there is no logical unit, and whatever unit attention waits.
    Target(fn(&Request<'_>) -> Answer),
    /// Answered by a logical unit.
    Unit(fn(&Request<'_>, &Device) -> Answer),
}

/// What a descriptor block asks for.
pub(super) enum Found {
    Command(&'static Command),
    UnknownServiceAction,
    UnknownOpcode,
}

/// The command that a descriptor block asks for.
pub(super) fn find(cdb: &Cdb) -> Found {
    let first = COMMANDS.partition_point(|command| command.opcode() < cdb.opcode());
    let mut same = COMMANDS
        .iter()
        .skip(first)
        .take_while(|known| known.opcode() == cdb.opcode());
    let wanted = Some(cdb.service_action());
    match same.clone().next() {
        None => Found::UnknownOpcode,
        Some(_) => same
            .find(|known| known.service_action().is_none() || known.service_action() == wanted)
            .map_or(Found::UnknownServiceAction, Found::Command),
    }
}

/// All commands, ascending.
pub(super) fn all() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter()
}

impl Command {
    pub(super) const fn opcode(&self) -> u8 {
        self.usage[0]
    }

    pub(super) const fn service_action(&self) -> Option<u8> {
        if self.has_service_action {
            Some(self.usage[1] & 0x1F)
        } else {
            None
        }
    }

    /// What the command does when it comes with these bytes. Never `AlwaysIf`.
    pub(super) fn access(&self, cdb: &Cdb) -> Access {
        match self.access {
            Access::AlwaysIf(harmless) if cdb.byte(4) & 0x01 == harmless => Access::Always,
            Access::AlwaysIf(_) => Access::Changing,
            access => access,
        }
    }

    /// Whether to wait for the answer as long as for blocks of the medium.
    pub(super) fn is_slow(&self) -> bool {
        self.access == Access::Reading
    }

    /// The usage map, as long as the descriptor block.
    pub(super) fn usage(&self) -> &[u8] {
        self.usage.get(..self.length).unwrap_or_default()
    }

    /// Refuses every bit that the usage map does not have: reserved bits, features that are not
    /// supported (protection information, DPO and FUA), and the whole CONTROL byte (SAM-5 5.2: NACA
    /// needs NORMACA in INQUIRY).
    pub(super) fn check(&self, cdb: &Cdb) -> Result<(), Sense> {
        for (at, known) in self.usage().iter().enumerate().skip(1) {
            let foreign = cdb.byte(at) & !(known | self.ignored(at));
            if foreign != 0 {
                let bit = 7 - foreign.leading_zeros() as u8;
                return Err(Sense::cdb_bit(at as u16, bit));
            }
        }
        Ok(())
    }

    /// Bits that are neither reported nor refused: the service action, and in six-byte commands the
    /// three bits that held the LUN until SCSI-2 and that some drivers still fill in.
    const fn ignored(&self, at: usize) -> u8 {
        match (at, self.has_service_action, self.length) {
            (1, true, _) => 0x1F,
            (1, false, 6) => 0xE0,
            _ => 0,
        }
    }
}

/// A command without service actions. The usage map is written in hexadecimal.
const fn plain(usage: &str, access: Access, run: Run) -> Command {
    let (usage, length) = map(usage);
    Command {
        usage,
        length,
        has_service_action: false,
        access,
        run,
    }
}

/// A service action of a command.
const fn action(usage: &str, access: Access, run: Run) -> Command {
    let (usage, length) = map(usage);
    Command {
        usage,
        length,
        has_service_action: true,
        access,
        run,
    }
}

/// Reads a usage map. Anything but hexadecimal digits and spaces stops the build, as does a length
/// that is not the operation code's.
const fn map(text: &str) -> ([u8; 16], usize) {
    let (text, mut usage) = (text.as_bytes(), [0; 16]);
    let (mut at, mut digits) = (0, 0);
    while at < text.len() {
        let digit = match text[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            _ => {
                assert!(text[at] == b' ');
                at += 1;
                continue;
            }
        };
        usage[digits / 2] = usage[digits / 2] << 4 | digit;
        digits += 1;
        at += 1;
    }
    assert!(matches!(Cdb::group_length(usage[0]), Some(length) if length * 2 == digits));
    (usage, digits / 2)
}

use Access::{Always, AlwaysIf, Changing, Free, Reading};
use Run::{Target, Unit};

/// Ascending by operation code and service action.
#[rustfmt::skip] // One command, one line.
static COMMANDS: &[Command] = &[
    plain("00 00 000000 00",                         Free,     Unit(medium::test_unit_ready)),
    plain("03 01 0000FF 00",                         Always,   Target(request_sense::request_sense)),
    plain("04 FF 000003 00",                         Changing, Unit(write_protected::format_unit)),
    plain("07 03 000000 00",                         Changing, Unit(write_protected::refuse)), // REASSIGN BLOCKS
    plain("08 1F FFFFFF 00",                         Reading,  Unit(read::read_6)),
    plain("0A 1F FFFFFF 00",                         Changing, Unit(write_protected::write_6)),
    plain("12 01 FFFFFF 00",                         Always,   Target(inquiry::inquiry)),
    plain("15 10 0000FF 00",                         Changing, Unit(mode_select::mode_select_6)),
    plain("16 00 000000 00",                         Always,   Unit(reserve::reserve)),
    plain("17 00 000000 00",                         Always,   Unit(reserve::release)),
    plain("1A 08 FFFFFF 00",                         Changing, Unit(mode_sense::mode_sense_6)),
    plain("1B 01 000001 00",                         AlwaysIf(1), Unit(medium::start_stop_unit)),
    plain("1E 00 000001 00",                         AlwaysIf(0), Unit(medium::prevent_allow)),
    plain("25 00 00000000 0000 00 00",               Always,   Unit(capacity::read_capacity_10)),
    plain("28 00 FFFFFFFF 1F FFFF 00",               Reading,  Unit(read::read_10)),
    plain("2A 00 FFFFFFFF 1F FFFF 00",               Changing, Unit(write_protected::write_10)),
    plain("2E 06 FFFFFFFF 1F FFFF 00",               Changing, Unit(write_protected::write_10)), // AND VERIFY
    plain("2F 06 FFFFFFFF 1F FFFF 00",               Reading,  Unit(verify::verify_10)),
    plain("34 02 FFFFFFFF 1F FFFF 00",               Reading,  Unit(medium::whole_range_10)), // PRE-FETCH
    plain("35 06 FFFFFFFF 1F FFFF 00",               Changing, Unit(medium::whole_range_10)), // SYNCHRONIZE CACHE
    plain("37 00 1F 00000000 FFFF 00",               Reading,  Unit(defects::read_defect_data_10)),
    plain("3F E0 FFFFFFFF 00 FFFF 00",               Changing, Unit(write_protected::write_long_10)),
    plain("41 08 FFFFFFFF 1F FFFF 00",               Changing, Unit(write_protected::write_same_10)),
    plain("42 00 00000000 1F FFFF 00",               Changing, Unit(write_protected::unmap)),
    action("48 A1 0000000000 FFFF 00",               Changing, Unit(write_protected::sanitize_overwrite)),
    action("48 A2 0000000000 0000 00",               Changing, Unit(write_protected::refuse)), // BLOCK ERASE
    action("48 A3 0000000000 0000 00",               Changing, Unit(write_protected::refuse)), // CRYPTO ERASE
    action("48 BF 0000000000 0000 00",               Changing, Unit(write_protected::refuse)), // EXIT FAILURE
    plain("55 10 0000000000 FFFF 00",                Changing, Unit(mode_select::mode_select_10)),
    plain("56 00 0000000000 0000 00",                Always,   Unit(reserve::reserve)),
    plain("57 00 0000000000 0000 00",                Always,   Unit(reserve::release)),
    plain("5A 18 FFFF 000000 FFFF 00",               Changing, Unit(mode_sense::mode_sense_10)),
    action("5E 00 0000000000 FFFF 00",               Free,     Unit(persistent_in::read_keys)),
    action("5E 01 0000000000 FFFF 00",               Free,     Unit(persistent_in::read_reservation)),
    action("5E 02 0000000000 FFFF 00",               Free,     Unit(persistent_in::report_capabilities)),
    action("5E 03 0000000000 FFFF 00",               Free,     Unit(persistent_in::read_full_status)),
    action("5F 00 FF 0000 FFFFFFFF 00",              Free,     Unit(persistent_out::register)),
    action("5F 01 FF 0000 FFFFFFFF 00",              Free,     Unit(persistent_out::reserve)),
    action("5F 02 FF 0000 FFFFFFFF 00",              Free,     Unit(persistent_out::release)),
    action("5F 03 FF 0000 FFFFFFFF 00",              Free,     Unit(persistent_out::clear)),
    action("5F 04 FF 0000 FFFFFFFF 00",              Free,     Unit(persistent_out::preempt)),
    action("5F 05 FF 0000 FFFFFFFF 00",              Free,     Unit(persistent_out::preempt_and_abort)),
    action("5F 06 FF 0000 FFFFFFFF 00",              Free,     Unit(persistent_out::register_and_ignore)),
    plain("88 00 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Reading,  Unit(read::read_16)),
    plain("89 00 FFFFFFFFFFFFFFFF 000000FF 1F 00",   Changing, Unit(write_protected::compare_and_write)),
    plain("8A 00 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Changing, Unit(write_protected::write_16)),
    plain("8B 00 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Changing, Unit(write_protected::write_16)), // ORWRITE
    plain("8E 06 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Changing, Unit(write_protected::write_16)), // AND VERIFY
    plain("8F 06 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Reading,  Unit(verify::verify_16)),
    plain("90 02 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Reading,  Unit(medium::whole_range_16)), // PRE-FETCH
    plain("91 06 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Changing, Unit(medium::whole_range_16)), // SYNCHRONIZE CACHE
    plain("93 09 FFFFFFFFFFFFFFFF FFFFFFFF 1F 00",   Changing, Unit(write_protected::write_same_16)),
    action("9E 10 0000000000000000 FFFFFFFF 00 00",  Always,   Unit(capacity::read_capacity_16)),
    action("9E 12 FFFFFFFFFFFFFFFF FFFFFFFF 00 00",  Reading,  Unit(lba_status::get_lba_status)),
    action("9F F1 FFFFFFFFFFFFFFFF 0000FFFF 00 00",  Changing, Unit(write_protected::write_long_16)),
    plain("A0 00 FF 000000 FFFFFFFF 00 00",          Always,   Target(report_luns::report_luns)),
    action("A3 0C 87 FF FFFF FFFFFFFF 00 00",        Reading,  Unit(supported::report_operation_codes)),
    action("A3 0D 80 000000 FFFFFFFF 00 00",         Reading,  Unit(supported::report_task_management)),
    plain("A8 00 FFFFFFFF FFFFFFFF 1F 00",           Reading,  Unit(read::read_12)),
    plain("AA 00 FFFFFFFF FFFFFFFF 1F 00",           Changing, Unit(write_protected::write_12)),
    plain("AE 06 FFFFFFFF FFFFFFFF 1F 00",           Changing, Unit(write_protected::write_12)), // AND VERIFY
    plain("AF 06 FFFFFFFF FFFFFFFF 1F 00",           Reading,  Unit(verify::verify_12)),
    plain("B7 1F 00000000 FFFFFFFF 00 00",           Reading,  Unit(defects::read_defect_data_12)),
];
