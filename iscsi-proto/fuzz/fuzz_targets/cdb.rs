//! Commands: what REPORT SUPPORTED OPERATION CODES lists is what is carried out, no answer is longer than
//! the allocation length, no read leaves the disk, nothing writes, and the device server asks for data once.
//!
//! Input: commands one after the other, each a byte (bit 0 the initiator, bits 1 to 3 the logical unit), a
//! CDB of 16 bytes and what is sent with it (a length byte, then the bytes).
#![no_main]

use iscsi_proto::blocks::{BlockCount, BlockRange, BlockSize, Geometry};
use iscsi_proto::scsi::{Cdb, Condition, InitiatorPort, LogicalUnit, Nexus, Outcome};
use iscsi_proto::{Lun, Target};
use iscsi_proto_fuzz::{Input, registry};
use libfuzzer_sys::fuzz_target;

/// Blocks and block size of each logical unit.
const DISKS: [(u64, BlockSize); 3] = [(1 << 13, BlockSize::B512), (1000, BlockSize::B4096), (1 << 54, BlockSize::B512)];

/// Operation codes that would change the medium: SBC-3 table 33, and FORMAT UNIT, REASSIGN BLOCKS, SANITIZE.
const WRITES: [u8; 18] =
    [0x04, 0x07, 0x0a, 0x2a, 0x2e, 0x3f, 0x41, 0x42, 0x48, 0x89, 0x8a, 0x8b, 0x8e, 0x93, 0x9f, 0xaa, 0xae, 0x9d];

fuzz_target!(|input: &[u8]| {
    let units = (0..).zip(DISKS).map(|(number, (blocks, size))| {
        let geometry = Geometry::new(BlockCount(blocks), size).expect("a disk");
        LogicalUnit::new(number, geometry, "web", 0x1234 + u64::from(number))
    });
    let target = Target::new("iqn.2026-11.io.itemlift:g1", units.collect()).expect("units");
    let attach = |name: &str| target.attach(InitiatorPort { name: name.into(), isid: [0x40, 0, 0, 0, 0, 1] });
    let nexuses = ["iqn.a", "iqn.b"].map(|name| attach(name).expect("a session"));
    let mut input = Input(input);
    while !input.is_empty() {
        let head = input.byte();
        let (cdb, data) = (input.array(), input.short());
        one(&target, &nexuses[usize::from(head & 1)], head >> 1 & 0x07, &cdb, data);
    }
});

fn one(target: &Target, nexus: &Nexus, lun: u8, cdb: &[u8; 16], data: &[u8]) {
    let parsed = Cdb::parse(cdb);
    let run = |data: Option<&[u8]>| target.execute(nexus, Lun::peripheral(lun), &parsed, data);
    let mut outcome = run(None);
    check(lun, cdb, &outcome);
    if let Outcome::NeedData(len) = outcome {
        assert!(len <= 1 << 20);
        let sent: Vec<u8> = data.iter().copied().cycle().take(len as usize).chain(vec![0; len as usize]).collect();
        outcome = run(Some(&sent[..len as usize]));
        assert!(!matches!(outcome, Outcome::NeedData(_)), "asked twice");
        check(lun, cdb, &outcome);
    }
    if let Outcome::CheckCondition(sense) = outcome {
        let wire = sense.encode(target.sense_form(Lun::peripheral(lun)));
        assert!((8..=252).contains(&wire.len()) && matches!(wire[0] & 0x7f, 0x70 | 0x72));
    }
}

fn check(lun: u8, cdb: &[u8; 16], outcome: &Outcome) {
    let known = &registry()[usize::from(cdb[0])];
    let entry = known.iter().find(|entry| entry.action.is_none_or(|action| action == cdb[1] & 0x1f));
    let condition = match outcome {
        Outcome::CheckCondition(sense) => Some(sense.condition()),
        _ => None,
    };
    // SAM-5 5.14: INQUIRY, REPORT LUNS and REQUEST SENSE pass by unit attentions and missing units.
    let always = matches!(cdb[0], 0x03 | 0x12 | 0xa0);
    let attention = condition.is_some_and(|condition| condition.codes().0 == 0x6);
    assert!(!(always && attention));
    match (DISKS.get(usize::from(lun)), entry) {
        (None, _) if !always => assert_eq!(condition, Some(Condition::LogicalUnitNotSupported)),
        (_, None) if known.is_empty() => assert_eq!(condition, Some(Condition::InvalidOperationCode)),
        (_, None) => assert_eq!(condition, Some(Condition::InvalidFieldInCdb)),
        _ if attention || *outcome == Outcome::ReservationConflict => {}
        (_, Some(entry)) if entry.is_violated_by(cdb) => assert_eq!(condition, Some(Condition::InvalidFieldInCdb)),
        (disk, Some(_)) => {
            assert!(condition != Some(Condition::InvalidOperationCode));
            let writes = WRITES.contains(&cdb[0]) && !writes_nothing(cdb);
            assert!(condition.is_some() || !writes, "{cdb:02x?}: {outcome:?}");
            accepted(*disk.unwrap_or(&DISKS[0]), cdb, condition, outcome);
        }
    }
}

/// A transfer length of zero, which SBC-3 does not take for an error.
fn writes_nothing(cdb: &[u8; 16]) -> bool {
    let length = match cdb[0] {
        0x2a | 0x2e | 0x42 => 7..9,
        0xaa | 0xae => 6..10,
        0x8a | 0x8b | 0x8e => 10..14,
        0x89 => 13..14,
        _ => return false,
    };
    cdb[length].iter().all(|byte| *byte == 0)
}

fn accepted((blocks, size): (u64, BlockSize), cdb: &[u8; 16], condition: Option<Condition>, outcome: &Outcome) {
    let number = |range: std::ops::Range<usize>| cdb[range].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let (lba, count) = match cdb[0] {
        0x08 => (number(1..4) & 0x1f_ffff, if cdb[4] == 0 { 256 } else { number(4..5) }),
        0x28 | 0x2f => (number(2..6), number(7..9)),
        0xa8 | 0xaf => (number(2..6), number(6..10)),
        0x88 | 0x8f => (number(2..10), number(10..14)),
        _ => (0, 0),
    };
    let on_disk = |range: &BlockRange| {
        assert_eq!((range.first().0, range.count().0), (lba, count));
        assert_eq!(range.offset().0, lba * u64::from(size.bytes()));
        assert_eq!(range.len(), count * u64::from(size.bytes()));
        assert!(range.len() <= 16 << 20 && lba < blocks && count <= blocks - lba);
    };
    match outcome {
        Outcome::Read(range) | Outcome::Check(range) => on_disk(range),
        Outcome::Compare(comparison) => on_disk(&comparison.range()),
        Outcome::Data(data) => assert!(data.len() as u64 <= allocation(cdb[0], number), "{cdb:02x?}"),
        _ => {}
    }
    if matches!(cdb[0], 0x08 | 0x28 | 0xa8 | 0x88) {
        let out = lba >= blocks || count > blocks - lba;
        assert_eq!(condition == Some(Condition::LbaOutOfRange), out);
        assert_eq!(*outcome == Outcome::Good, !out && count == 0);
    }
}

/// Where the standards put the allocation length; READ CAPACITY (10) has 8 bytes always.
fn allocation(opcode: u8, number: impl Fn(std::ops::Range<usize>) -> u64) -> u64 {
    match opcode {
        0x03 | 0x1a => number(4..5),
        0x12 => number(3..5),
        0x25 => 8,
        0x37 | 0x5a | 0x5e => number(7..9),
        0x9e => number(10..14),
        0xa0 | 0xa3 | 0xb7 => number(6..10),
        _ => 0,
    }
}
