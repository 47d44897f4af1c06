//! A session and the model that it is held against: an initiator that knows what must come.
//!
//! `operations` decodes the input into requests, completions and time; `replies` checks each PDU of the
//! target; `finish` brings everything to its end and looks for what is left over.

mod finish;
mod operations;
mod replies;
mod task;

use std::collections::BTreeMap;

use bytes::BytesMut;
use iscsi_proto::pdu::{Bhs, R2t};
use iscsi_proto::{Digests, Effect, Framing, ReadBlocks, ReadId, text, transmit};

use self::task::Task;
use crate::{Input, World, disk, known};

/// Bytes. Reads out at one time, of one connection; one read.
const READ_LIMITS: (u64, u32) = (4 << 20, 256 << 10);
/// Bytes. The longest data segment that the target takes.
const MAX_SENT: usize = 8192;

/// A session after its login.
pub struct Session {
    world: World,
    digests: Digests,
    framing: Framing,
    inbox: BytesMut,
    /// Bytes. What was negotiated.
    max_recv: u32,
    max_burst: u32,
    /// The next number to give, the window last told, the next status number to come.
    cmd_sn: u32,
    window: (u32, u32),
    /// Numbers below this count as received, whatever became of their requests.
    counted_below: u32,
    stat_sn: u32,
    next_itt: u32,
    tasks: BTreeMap<u32, Task>,
    /// Requests that have their numbers and were not sent yet.
    held: Vec<(u32, Vec<u8>)>,
    /// Headers whose rejection must come.
    rejects: Vec<Bhs>,
    reads: Vec<ReadBlocks>,
    /// Those of them that nobody waits for any more.
    cancelled: Vec<ReadId>,
    owed: Vec<R2t>,
    text_ttt: u32,
    ping: Option<u32>,
    /// Unit attentions that may still come, by LUN.
    attentions: [u32; 3],
    /// Blocks that could not be read.
    faults: Vec<(u8, u64)>,
    /// We asked for the end, or the target may end the session by now.
    may_close: bool,
    /// The target was told to end the session.
    leaving: bool,
    /// Bytes that may still be asked for, so that a run stays short.
    left: u64,
}

impl Session {
    /// Logs in. The first byte of the input says what is negotiated.
    pub fn new(input: &mut Input) -> Self {
        let choice = input.byte();
        let digests = Digests { header: choice & 1 != 0, data: choice & 2 != 0 };
        let max_recv = [512, 4096, 65_536, 262_144, 1 << 20, 8192, 1000, 262_143][usize::from(choice >> 2 & 7)];
        let max_burst = [262_144, 512, 65_536, (1 << 24) - 1][usize::from(choice >> 5 & 3)];
        let mut world = World::new(known::nonce());
        let steps = known::right_steps();
        steps[..3].iter().for_each(|(stages, keys)| world.send(&known::login_request(*stages, keys)));
        let digest = |on: bool| if on { "CRC32C" } else { "None" };
        let keys = [
            ("HeaderDigest", digest(digests.header).to_owned()),
            ("DataDigest", digest(digests.data).to_owned()),
            ("MaxRecvDataSegmentLength", max_recv.to_string()),
            ("MaxBurstLength", max_burst.to_string()),
        ];
        world.send(&known::login_request(steps[3].0, &text::encode(&keys)));
        (0..4).for_each(|_| assert!(world.receive().is_some(), "{:?}", world.refusal));
        let mut framing = Framing::new(1 << 24);
        framing.set_digests(digests);
        Self {
            world,
            digests,
            framing,
            inbox: BytesMut::new(),
            max_recv,
            max_burst,
            cmd_sn: 1,
            window: (1, 128),
            counted_below: 1,
            stat_sn: 5,
            next_itt: 100,
            tasks: BTreeMap::new(),
            held: Vec::new(),
            rejects: Vec::new(),
            reads: Vec::new(),
            cancelled: Vec::new(),
            owed: Vec::new(),
            text_ttt: u32::MAX,
            ping: None,
            attentions: [1; 3],
            faults: Vec::new(),
            may_close: false,
            leaving: false,
            left: (u64::from(max_burst.min(max_recv)) * 100).min(6 << 20),
        }
    }

    fn wire(&self, bhs: Bhs, data: &[u8]) -> Vec<u8> {
        let pdu = transmit(bhs, data.to_vec().into(), self.digests);
        [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.world.send(bytes);
        self.take_effects();
    }

    fn take_effects(&mut self) {
        for effect in std::mem::take(&mut self.world.effects) {
            match effect {
                Effect::Read(read) => self.take_read(read),
                Effect::Cancel(id) => {
                    assert!(self.reads.iter().any(|read| read.id == id), "{id:?}");
                    self.cancelled.push(id);
                }
                Effect::ResetOthers(_) => {}
                other => panic!("in a session: {other:?}"),
            }
        }
    }

    fn take_read(&mut self, read: ReadBlocks) {
        let lun = read.lun.number().expect("a disk");
        let (bytes, block) = disk::SIZES[usize::from(lun)];
        assert!(read.len > 0 && read.len <= READ_LIMITS.1 && read.len.is_multiple_of(block), "{read:?}");
        assert!(read.offset.0.is_multiple_of(u64::from(block)) && read.offset.0 + u64::from(read.len) <= bytes);
        self.reads.push(read);
        let out: u64 = self.reads.iter().map(|read| u64::from(read.len)).sum();
        assert!(out <= READ_LIMITS.0, "{out} bytes are out");
    }

    /// A read is answered: rightly, with a fault, or with too little.
    fn complete(&mut self, at: usize, how: u8) {
        let read = self.reads.swap_remove(at);
        let lun = read.lun.number().expect("a disk");
        let data = disk::contents(lun, read.offset.0, read.len as usize);
        let block = disk::SIZES[usize::from(lun)].1;
        let outcome = match how {
            0 => Ok(data),
            1 => Ok(data.slice(..data.len() - 1)),
            _ => {
                let at = u64::from(how) * 512 % u64::from(read.len);
                Err(iscsi_proto::ReadFault { at: iscsi_proto::ByteOffset(read.offset.0 + at) })
            }
        };
        if how != 0 {
            let first = outcome.as_ref().err().map_or(read.offset.0, |fault| fault.at.0);
            self.faults.push((lun, first / u64::from(block)));
            let end = read.offset.0 + u64::from(read.len);
            let hit = self.tasks.values_mut().filter(|task| task.touches(lun, read.offset.0, end));
            hit.for_each(|task| task.may_fail = true);
        }
        self.world.machine.read_done(read.id, outcome);
        self.world.turn();
        self.take_effects();
    }
}
