//! A scripted initiator and a world of one target, around one connection.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chap::{Algorithm, Credentials, Nonce, Secret};
use iscsi_proto::blocks::{BlockSize, Geometry};
use iscsi_proto::pdu::{Bhs, ScsiCommand};
use iscsi_proto::scsi::LogicalUnit;
use iscsi_proto::{
    Access, CmdSn, Connection, Digests, Effect, Error, Frame, Framing, Itt, Lun, Policy,
    ReadBlocks, ReadFault, ReadId, StatSn, Target, Tsih, transmit,
};

pub(crate) const TARGET: &str = "iqn.2026-11.io.itemlift:g1";
pub(crate) const INITIATOR: &str = "iqn.1993-08.org.debian:01:abc";
/// Bytes. The disk behind LUN 0 and LUN 1.
pub(crate) const DISK: usize = 4 << 20;

pub(crate) fn target() -> Arc<Target> {
    let geometry = Geometry::from_bytes(DISK as u64, BlockSize::B512).unwrap();
    let units = (0..2).map(|n| LogicalUnit::new(n, geometry, "web", 0x1234 + u64::from(n)));
    Arc::new(Target::new(TARGET, units.collect()).unwrap())
}

pub(crate) fn initiator_credentials() -> Credentials {
    Credentials {
        user: "ini".into(),
        secret: Secret::new("initiatorsecret1").unwrap(),
    }
}

pub(crate) fn target_credentials() -> Credentials {
    Credentials {
        user: "tgt".into(),
        secret: Secret::new("target-secret-22").unwrap(),
    }
}

pub(crate) fn access(target: &Arc<Target>) -> Access {
    Access {
        target: Arc::clone(target),
        initiator: initiator_credentials(),
        target_credentials: target_credentials(),
    }
}

/// What the disk holds.
pub(crate) fn disk_bytes(lun: u8, offset: u64, len: usize) -> Bytes {
    (offset..offset + len as u64)
        .map(|at| pattern(lun, at))
        .collect()
}

fn pattern(lun: u8, at: u64) -> u8 {
    let mixed = (at / 512).wrapping_mul(0x9e37_79b9).wrapping_add(at) ^ (at >> 13);
    u8::try_from(mixed & 0xff).unwrap() ^ lun
}

pub(crate) struct Peer {
    pub(crate) machine: Connection,
    pub(crate) target: Arc<Target>,
    pub(crate) now: Instant,
    /// Whether reads are answered at once; else they pile up in `reads`.
    pub(crate) reads_at_once: bool,
    pub(crate) reads: Vec<ReadBlocks>,
    /// Effects that are not answered by the peer itself.
    pub(crate) others: Vec<Effect>,
    pub(crate) framing: Framing,
    pub(crate) digests: Digests,
    pub(crate) byte_at_a_time: bool,
    /// Last byte of the ISID.
    pub(crate) port: u8,
    pub(crate) cmd_sn: u32,
    pub(crate) next_itt: u32,
    inbox: BytesMut,
    outbox: BytesMut,
    pub(crate) error: Option<Error>,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self::with(target(), None)
    }

    pub(crate) fn with(target: Arc<Target>, target_address: Option<&str>) -> Self {
        let policy = Policy {
            algorithms: Algorithm::ALL.to_vec(),
            target_address: target_address.map(str::to_owned),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to begin with"
        )]
        let now = Instant::now();
        let nonce = Nonce {
            identifier: 42,
            challenge: std::array::from_fn(|i| u8::try_from(i).unwrap()),
        };
        Self {
            machine: Connection::new(policy, nonce, now),
            target,
            now,
            reads_at_once: true,
            reads: Vec::new(),
            others: Vec::new(),
            framing: Framing::new(1 << 24),
            digests: Digests::default(),
            byte_at_a_time: false,
            port: 1,
            cmd_sn: 1,
            next_itt: 100,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            error: None,
        }
    }

    /// Sends one PDU and does what the machine asks for.
    pub(crate) fn send(&mut self, bhs: Bhs, data: impl Into<Bytes>) {
        let pdu = transmit(bhs, data.into(), self.digests);
        let wire = [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat();
        self.send_raw(&wire);
    }

    pub(crate) fn send_raw(&mut self, wire: &[u8]) {
        let step = if self.byte_at_a_time {
            1
        } else {
            wire.len().max(1)
        };
        for piece in wire.chunks(step) {
            self.outbox.extend_from_slice(piece);
            self.turn();
        }
    }

    /// Input and effects, until there is nothing to do.
    pub(crate) fn turn(&mut self) {
        loop {
            if let Err(error) = self.machine.receive(self.now, &mut self.outbox) {
                self.error = Some(error);
            }
            let Some(effect) = self.machine.poll_effect() else {
                return;
            };
            match effect {
                Effect::FindAccess(query) => {
                    // Whether the target is this user's is for the machine to see.
                    let ours = query.user == "ini";
                    self.machine.access(ours.then(|| access(&self.target)));
                }
                Effect::Establish(_) => {
                    self.machine.established(NonZeroU16::new(7).map(Tsih));
                }
                Effect::Read(read) if self.reads_at_once => self.answer(&read),
                Effect::Read(read) => self.reads.push(read),
                other => self.others.push(other),
            }
        }
    }

    pub(crate) fn answer(&mut self, read: &ReadBlocks) {
        let data = disk_bytes(read.lun.number().unwrap(), read.offset.0, read.len as usize);
        self.machine.read_done(read.id, Ok(data));
    }

    pub(crate) fn fail(&mut self, id: ReadId, fault: ReadFault) {
        self.machine.read_done(id, Err(fault));
        self.turn();
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.machine.handle_timeout(self.now);
        self.turn();
    }

    /// The next PDU of the target.
    pub(crate) fn try_receive(&mut self) -> Option<Frame> {
        let pdu = self.machine.poll_transmit()?;
        assert_eq!(pdu.len() % 4, 0, "a PDU is a whole number of words");
        for part in [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()] {
            self.inbox.extend_from_slice(part);
        }
        let frame = self.framing.next(&mut self.inbox).unwrap().unwrap();
        assert!(self.inbox.is_empty() && !frame.data_corrupt);
        self.turn();
        Some(frame)
    }

    pub(crate) fn receive(&mut self) -> Frame {
        self.try_receive()
            .unwrap_or_else(|| panic!("nothing came; error: {:?}", self.error))
    }

    /// Sends a command. `write`: W and this data as immediate data. Returns its tag.
    pub(crate) fn command(
        &mut self,
        lun: u8,
        cdb: &[u8],
        write: Option<&[u8]>,
        expected: u32,
    ) -> Itt {
        let mut whole = [0; 16];
        whole[..cdb.len()].copy_from_slice(cdb);
        self.next_itt += 1;
        let itt = Itt(self.next_itt);
        let command = ScsiCommand {
            immediate: false,
            last: true,
            read: write.is_none() && expected > 0,
            write: write.is_some(),
            attribute: 1,
            lun: Lun::peripheral(lun),
            itt,
            expected_len: expected,
            cmd_sn: self.take_cmd_sn(),
            exp_stat_sn: StatSn(0),
            cdb: whole,
        };
        self.send(command.encode(), write.unwrap_or_default().to_vec());
        itt
    }

    pub(crate) fn take_cmd_sn(&mut self) -> CmdSn {
        let number = CmdSn(self.cmd_sn);
        self.cmd_sn = number.plus(1).0;
        number
    }

    /// READ (10).
    pub(crate) fn read(&mut self, lun: u8, lba: u32, blocks: u16) -> Itt {
        let [a, b, c, d] = lba.to_be_bytes();
        let [high, low] = blocks.to_be_bytes();
        let cdb = [0x28, 0, a, b, c, d, 0, high, low, 0];
        self.command(lun, &cdb, None, u32::from(blocks) * 512)
    }
}

pub(crate) fn opcode(frame: &Frame) -> u8 {
    frame.bhs[0] & 0x3f
}
