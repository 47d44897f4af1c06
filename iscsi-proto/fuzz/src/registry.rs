//! What REPORT SUPPORTED OPERATION CODES (SPC-4 6.35) says, as the oracles of CDBs need it.

use std::sync::OnceLock;

use iscsi_proto::blocks::{BlockSize, Geometry};
use iscsi_proto::scsi::{Cdb, InitiatorPort, LogicalUnit, Nexus, Outcome};
use iscsi_proto::{Lun, Target};

/// One command, or one service action.
#[derive(Debug)]
pub struct Entry {
    /// The service action, where there is one.
    pub action: Option<u8>,
    /// The CDB usage data: a one for each bit that may be set.
    pub usage: Vec<u8>,
}

impl Entry {
    /// Whether a CDB sets a bit that the usage data does not have. The service action is there already; the
    /// LUN of SCSI-2 in a CDB of 6 bytes is ignored.
    pub fn is_violated_by(&self, cdb: &[u8; 16]) -> bool {
        self.usage.iter().zip(cdb).enumerate().skip(1).any(|(at, (usage, byte))| {
            let ignored = match (at, self.action, self.usage.len()) {
                (1, Some(_), _) => 0x1f,
                (1, None, 6) => 0xe0,
                _ => 0,
            };
            byte & !(usage | ignored) != 0
        })
    }
}

/// The entries of each operation code.
pub fn registry() -> &'static [Vec<Entry>; 256] {
    static REGISTRY: OnceLock<[Vec<Entry>; 256]> = OnceLock::new();
    REGISTRY.get_or_init(ask)
}

fn ask() -> [Vec<Entry>; 256] {
    let geometry = Geometry::from_bytes(1 << 20, BlockSize::B512).expect("a disk");
    let target = Target::new("iqn.a", vec![LogicalUnit::new(0, geometry, "p", 1)]).expect("a unit");
    let port = InitiatorPort { name: "iqn.b".into(), isid: [0; 6] };
    let nexus = target.attach(port).expect("the first session");
    // TEST UNIT READY takes the unit attention of power on.
    assert!(matches!(run(&target, &nexus, &[0; 16]), Outcome::CheckCondition(_)));
    let mut entries = [const { Vec::new() }; 256];
    let all = data(&target, &nexus, [0; 4]);
    for descriptor in all[4..].chunks_exact(8) {
        let (opcode, action) = (descriptor[0], descriptor[3]);
        let action = (descriptor[5] & 0x01 != 0).then_some(action);
        let one = data(&target, &nexus, [3, opcode, 0, action.unwrap_or(0)]);
        assert_eq!(one[1] & 0x07, 3, "listed, so supported: {opcode:#04x} {action:?}");
        entries[usize::from(opcode)].push(Entry { action, usage: one[4..].to_vec() });
    }
    entries
}

/// MAINTENANCE IN / REPORT SUPPORTED OPERATION CODES, with bytes 2 to 5 as given.
fn data(target: &Target, nexus: &Nexus, bytes: [u8; 4]) -> Vec<u8> {
    let [options, opcode, high, low] = bytes;
    let cdb = [0xa3, 0x0c, options, opcode, high, low, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
    match run(target, nexus, &cdb) {
        Outcome::Data(data) => data.to_vec(),
        other => panic!("REPORT SUPPORTED OPERATION CODES: {other:?}"),
    }
}

fn run(target: &Target, nexus: &Nexus, cdb: &[u8; 16]) -> Outcome {
    target.execute(nexus, Lun::peripheral(0), &Cdb::parse(cdb), None)
}
