//! Commands as the standards write them, sent to a target with four logical units. The bytes here
//! are literal on purpose: the crate's own constants must not vouch for themselves.

mod attentions;
mod conflicts;
mod inquiry;
mod mode;
mod parameters;
mod persistent;
mod preempt;
mod reads;
mod registry;
mod reserve;
mod sectors;
mod supported;
mod writes;

use super::{Cdb, InitiatorPort, LogicalUnit, Lun, Nexus, Outcome, SenseForm, Target};
use crate::blocks::{BlockCount, BlockSize, Geometry};

const NAME: &str = "iqn.2026-11.io.itemlift:g1";

/// TEST UNIT READY.
const READY: [u8; 6] = [0; 6];

/// A target and two sessions that have seen their unit attentions.
struct Rig {
    target: Target,
    first: Nexus,
    second: Nexus,
}

/// Unit 0: 2048 blocks of 512. Unit 1: 64 TiB in blocks of 4096. Unit 5: one block of 512 more than
/// 32 bits can address. Unit 255: one block.
fn rig() -> Rig {
    let unit = |number, blocks, size| {
        let geometry = Geometry::new(BlockCount(blocks), size).unwrap();
        LogicalUnit::new(
            number,
            geometry,
            "web-01",
            0x0123_4567_89AB_CDE0 + u64::from(number),
        )
    };
    let units = vec![
        unit(0, 2048, BlockSize::B512),
        unit(1, 1 << 34, BlockSize::B4096),
        unit(5, 0x1_0000_0001, BlockSize::B512),
        unit(255, 1, BlockSize::B512),
    ];
    let target = Target::new(NAME, units).unwrap();
    let first = target.attach(port(1)).unwrap();
    let second = target.attach(port(2)).unwrap();
    let rig = Rig {
        target,
        first,
        second,
    };
    for lun in [0, 1, 5, 255] {
        assert_eq!(sense(rig.send(lun, &READY)), [6, 0x29, 0x00]);
        assert_eq!(sense(rig.send_second(lun, &READY)), [6, 0x29, 0x00]);
    }
    rig
}

fn port(number: u16) -> InitiatorPort {
    let [high, low] = number.to_be_bytes();
    InitiatorPort {
        name: format!("iqn.2026-11.test:host{number}"),
        isid: [0x80, 0, 0, 0, high, low],
    }
}

fn cdb(bytes: &[u8]) -> Cdb {
    let mut whole = [0; 16];
    whole[..bytes.len()].copy_from_slice(bytes);
    Cdb::parse(&whole)
}

impl Rig {
    fn send(&self, lun: u8, bytes: &[u8]) -> Outcome {
        self.target
            .execute(&self.first, Lun::peripheral(lun), &cdb(bytes), None)
    }

    fn send_second(&self, lun: u8, bytes: &[u8]) -> Outcome {
        self.target
            .execute(&self.second, Lun::peripheral(lun), &cdb(bytes), None)
    }

    /// Sends the command as a transport does: the data only when asked for.
    fn send_with(&self, nexus: &Nexus, bytes: &[u8], data: &[u8]) -> Outcome {
        let lun = Lun::peripheral(0);
        match self.target.execute(nexus, lun, &cdb(bytes), None) {
            Outcome::NeedData(length) => {
                assert_eq!(length as usize, data.len());
                self.target.execute(nexus, lun, &cdb(bytes), Some(data))
            }
            outcome => outcome,
        }
    }

    fn data(&self, lun: u8, bytes: &[u8]) -> Vec<u8> {
        data(self.send(lun, bytes))
    }
}

fn data(outcome: Outcome) -> Vec<u8> {
    match outcome {
        Outcome::Data(data) => data.to_vec(),
        other => panic!("no data: {other:?}"),
    }
}

/// Sense key, ASC, ASCQ.
fn sense(outcome: Outcome) -> [u8; 3] {
    let bytes = sense_bytes(outcome);
    [bytes[2], bytes[12], bytes[13]]
}

/// Fixed format sense data.
fn sense_bytes(outcome: Outcome) -> Vec<u8> {
    match outcome {
        Outcome::CheckCondition(sense) => sense.encode(SenseForm::Fixed),
        other => panic!("no check condition: {other:?}"),
    }
}

/// Byte and bit that the field pointer names in the descriptor block; INVALID FIELD IN CDB.
fn blamed(outcome: Outcome) -> (u16, Option<u8>) {
    let bytes = sense_bytes(outcome);
    assert_eq!([bytes[2], bytes[12], bytes[13]], [5, 0x24, 0x00]);
    assert_eq!(
        bytes[15] & 0xC0,
        0xC0,
        "no pointer into the CDB: {bytes:02x?}"
    );
    let bit = (bytes[15] & 0x08 != 0).then_some(bytes[15] & 0x07);
    (u16::from_be_bytes([bytes[16], bytes[17]]), bit)
}
