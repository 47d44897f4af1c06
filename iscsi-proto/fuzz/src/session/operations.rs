//! The input as a list of operations.

use bytes::Bytes;
use iscsi_proto::pdu::{Bhs, DataOut, R2t};
use iscsi_proto::{Itt, Lun, Reset, ShutDown, StatSn, Ttt};

use super::task::{Kind, Task};
use super::{MAX_SENT, Session};
use crate::{Input, disk};

/// Commands without a model of their own; the first bytes of each.
const CDBS: [&[u8]; 16] = [
    &[0x00],
    &[0x12, 0, 0, 0, 255],
    &[0x12, 1, 0x83, 0, 255],
    &[0x25],
    &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32],
    &[0x1a, 0, 0x3f, 0, 192],
    &[0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0],
    &[0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
    &[0x03, 0, 0, 0, 252],
    &[0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 16, 0],
    &[0x2a, 0, 0, 0, 0, 0, 0, 0, 8],
    &[0x35],
    &[0x16],
    &[0x15, 0x10, 0, 0, 24],
    &[0x5f, 0, 0, 0, 0, 0, 0, 0, 24],
    &[0x5e, 0, 0, 0, 0, 0, 0, 1, 0],
];

impl Session {
    /// Takes one operation off the input and does it.
    pub fn step(&mut self, input: &mut Input) {
        let (operation, how) = (input.byte(), input.byte());
        match operation & 0x0f {
            0..=3 => self.read(input, how),
            4 => self.command(input, how),
            5 => self.verify(input, how),
            6 => self.nop(input, how),
            7 => self.manage(input, how),
            8 => self.text(input, how),
            9 if !self.reads.is_empty() => {
                let at = usize::from(input.byte()) % self.reads.len();
                self.complete(at, how);
            }
            10 => {
                for _ in 0..how {
                    self.receive();
                }
            }
            11 if !self.held.is_empty() => {
                let at = usize::from(how) % self.held.len();
                let (_, request) = self.held.swap_remove(at);
                self.send(&request);
            }
            12 if !self.owed.is_empty() => {
                let r2t = self.owed.swap_remove(usize::from(input.byte()) % self.owed.len());
                self.data_out(&r2t, how);
            }
            13 => self.junk(input, how),
            14 => self.reuse(how),
            15 => self.world_changes(input, how),
            _ => {}
        }
    }

    /// READ (6), (10), (12) or (16), with an expected length that fits or not.
    fn read(&mut self, input: &mut Input, how: u8) {
        let (place, count, length) = (input.u16(), u64::from(input.byte()), input.byte());
        let lun = if how >> 3 & 3 == 3 && place % 16 != 0 { 0 } else { how >> 3 & 3 };
        let block = disk::SIZES.get(usize::from(lun)).map_or(512, |(_, block)| u64::from(*block));
        let blocks = if count < 200 { count } else { (count - 199) * 64 };
        let lba = if lun == 2 && how >> 5 & 3 == 3 { u64::from(place) << 21 } else { u64::from(place) };
        if blocks * block > self.left {
            return;
        }
        let (cdb, blocks) = read_cdb(how >> 5 & 3, lba, blocks);
        self.left = self.left.saturating_sub(blocks * block);
        let len = (blocks * block) as u32;
        let (flags, expected) = match length {
            0..160 => (0xc1, len),
            160..180 => (0xc1, len / 2),
            180..200 => (0xc1, len + 512),
            200..210 => (0xc1, len.saturating_sub(u32::from(length - 199))),
            210..220 => (0x81, len),
            220..230 => (0xa1, len),
            230..240 => (0xe1, len),
            _ => (0xc1, 0),
        };
        let range = (lba * block, (lba + blocks) * block);
        self.scsi(flags, lun, expected, &cdb, Kind::Read { lun, range, compares: false }, (Bytes::new(), 0), how);
    }

    /// VERIFY (10) of what the disk holds, or nearly.
    fn verify(&mut self, input: &mut Input, how: u8) {
        let (lun, block) = (how >> 3 & 1, u64::from(disk::SIZES[usize::from(how >> 3 & 1)].1));
        let (place, count, sent) = (input.u16(), input.byte(), usize::from(input.byte()) * 64);
        // As much as a command may have: there is room for two of these, and others wait.
        let count = if count < 240 { u64::from(count & 15) } else { (1 << 20) / block };
        let len = count * block;
        if len > self.left {
            return;
        }
        self.left -= len;
        let range = (u64::from(place) * block, u64::from(place) * block + len);
        let mut data = disk::contents(lun, range.0, len as usize).to_vec();
        if let Some(byte) = data.last_mut().filter(|_| how & 0x20 != 0) {
            *byte ^= 1;
        }
        let [high, low] = place.to_be_bytes();
        let cdb = [0x2f, 2, 0, 0, high, low, 0, (count >> 8) as u8, count as u8, 0];
        let kind = Kind::Read { lun, range, compares: true };
        let sent = sent.min(MAX_SENT).min(data.len());
        self.scsi(0xa1, lun, len as u32, &cdb, kind, (data.into(), sent), how);
    }

    /// A command of the list, or any.
    fn command(&mut self, input: &mut Input, how: u8) {
        let which = input.byte();
        let cdb = match CDBS.get(usize::from(which)) {
            Some(cdb) => cdb.to_vec(),
            None => input.array::<16>().to_vec(),
        };
        let (flags, expected) = (input.byte() & 0x60 | 0x81, u32::from(input.byte()) * 4);
        let sent = usize::from(input.byte()).min(expected as usize);
        let data = Bytes::from(vec![input.byte(); if flags & 0x20 == 0 { 0 } else { expected as usize }]);
        let sent = sent.min(data.len());
        self.scsi(flags, how >> 3 & 3, expected, &cdb, Kind::Command, (data, sent), how);
    }

    /// `data` and how much of it goes with the command.
    #[expect(clippy::too_many_arguments, reason = "a command has so many fields")]
    fn scsi(&mut self, flags: u8, lun: u8, expected: u32, cdb: &[u8], kind: Kind, data: (Bytes, usize), how: u8) {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1], bhs[9]) = (0x01, flags, lun);
        bhs[20..24].copy_from_slice(&expected.to_be_bytes());
        bhs[32..32 + cdb.len()].copy_from_slice(cdb);
        let (data, sent) = data;
        self.submit(bhs, &data.slice(..sent), kind, data, how);
        // RFC 7143 §13.11: data that comes with the command is unasked here, which ends it.
        if let Some(task) = self.tasks.get_mut(&self.next_itt) {
            task.spoiled |= sent > 0;
        }
    }

    fn nop(&mut self, input: &mut Input, how: u8) {
        let mut bhs = [0; 48];
        (bhs[1], bhs[9]) = (0x80, how >> 3);
        bhs[20..24].fill(0xff);
        let data = Bytes::copy_from_slice(input.short()).repeat(if how & 0x40 == 0 { 1 } else { 32 });
        if let Some(ttt) = self.ping.take_if(|_| how & 0x80 != 0) {
            bhs[0] = 0x40;
            bhs[16..20].fill(0xff);
            bhs[20..24].copy_from_slice(&ttt.to_be_bytes());
            let wire = self.wire(bhs, &[]);
            return self.send(&wire);
        }
        self.submit(bhs, &data, Kind::Nop, data.clone().into(), how);
    }

    /// A NOP-Out in the place of a request that was rejected.
    pub(super) fn fill(&mut self, cmd_sn: u32) {
        let mut bhs = [0; 48];
        bhs[1] = 0x80;
        self.next_itt += 1;
        bhs[16..20].copy_from_slice(&self.next_itt.to_be_bytes());
        bhs[20..24].fill(0xff);
        bhs[24..28].copy_from_slice(&cmd_sn.to_be_bytes());
        // §4.2.3.3: after a reset of all units the number counts as received, and this comes too late.
        let optional = cmd_sn.wrapping_sub(self.counted_below).cast_signed() < 0;
        self.tasks.insert(self.next_itt, Task { optional, ..Task::new(bhs, Kind::Nop, Bytes::new()) });
        let wire = self.wire(bhs, &[]);
        self.send(&wire);
    }

    fn manage(&mut self, input: &mut Input, how: u8) {
        let (function, which, lun) = (input.byte() & 0x0f, input.byte(), how >> 3 & 3);
        let scsi = |(_, task): &(&u32, &Task)| task.is_scsi();
        let listed: Vec<(u32, u8)> = self.tasks.iter().filter(scsi).map(|(itt, task)| (*itt, task.lun())).collect();
        let mut bhs = [0; 48];
        (bhs[0], bhs[1], bhs[9]) = (0x02, 0x80 | function, lun);
        bhs[20..24].fill(0xff);
        bhs[32..36].copy_from_slice(&self.cmd_sn.wrapping_sub(1000).to_be_bytes());
        let mut ended = Vec::new();
        match function {
            1 if !listed.is_empty() => {
                let (itt, own) = listed[usize::from(which) % listed.len()];
                let referenced = &self.tasks[&itt];
                bhs[9] = if which & 0x80 == 0 { own } else { lun };
                bhs[20..24].copy_from_slice(&itt.to_be_bytes());
                if referenced.bhs[0] & 0x40 == 0 {
                    bhs[32..36].copy_from_slice(&referenced.bhs[24..28]);
                }
                ended.push(itt);
            }
            2 | 4 | 5 => ended.extend(listed.iter().filter(|(_, own)| *own == lun).map(|(itt, _)| *itt)),
            6 | 7 => ended.extend(listed.iter().map(|(itt, _)| *itt)),
            _ => {}
        }
        if matches!(function, 5..=7) {
            self.attentions.iter_mut().for_each(|count| *count += 1);
        }
        self.may_close |= function == 7;
        // RFC 7143 §4.2.3.3: a reset of all units makes the numbers before it count as received.
        if matches!(function, 6 | 7) {
            self.counted_below = self.cmd_sn;
            let held = self.held.iter().map(|(itt, _)| *itt).collect::<Vec<_>>();
            self.tasks.iter_mut().filter(|(itt, _)| held.contains(itt)).for_each(|(_, task)| task.optional = true);
        }
        // All others wait for what was given a number before. What is sent before one that is held is not known here.
        let surely = function == 1 || how & 0x02 == 0;
        self.submit(bhs, &[], Kind::Manage { ended, surely }, Bytes::new(), how);
    }

    fn text(&mut self, input: &mut Input, how: u8) {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1]) = (0x04, how & 0xc0);
        // §11.10.2: F and C together are a format error, which ends the connection.
        self.may_close |= how & 0xc0 == 0xc0;
        let ttt = if how & 0x08 == 0 { u32::MAX } else { self.text_ttt };
        bhs[20..24].copy_from_slice(&ttt.to_be_bytes());
        let data = if how & 0x10 == 0 { b"SendTargets=All\0" } else { input.short() };
        self.submit(bhs, data, Kind::Text, Bytes::new(), how);
    }

    /// Gives a request its numbers. `how`: 1 immediate, 2 held back, 4 first with a wrong data digest.
    fn submit(&mut self, mut bhs: Bhs, data: &[u8], kind: Kind, whole: Bytes, how: u8) {
        let immediate = how & 1 != 0;
        if !immediate && self.window.1.wrapping_sub(self.cmd_sn).cast_signed() < 0 {
            return;
        }
        bhs[0] |= u8::from(immediate) << 6;
        self.next_itt += 1;
        bhs[16..20].copy_from_slice(&self.next_itt.to_be_bytes());
        bhs[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
        let wire = self.wire(bhs, data);
        // The header as the target sees it.
        bhs.copy_from_slice(&wire[..48]);
        self.cmd_sn = self.cmd_sn.wrapping_add(u32::from(!immediate));
        self.tasks.insert(self.next_itt, Task { sent: data.len() as u32, ..Task::new(bhs, kind, whole) });
        if how & 4 != 0 && self.digests.data && !data.is_empty() {
            let mut spoiled = wire.clone();
            *spoiled.last_mut().expect("a digest") ^= 1;
            self.rejects.push(bhs);
            self.send(&spoiled);
        }
        if how & 2 != 0 && !immediate {
            self.held.push((self.next_itt, wire));
        } else {
            self.send(&wire);
        }
    }

    /// Answers an R2T. `how`: 0 rightly, others with a mistake.
    pub(super) fn data_out(&mut self, r2t: &R2t, how: u8) {
        let Some(task) = self.tasks.get_mut(&r2t.itt.0) else { return };
        let (from, to) = (r2t.buffer_offset as usize, (r2t.buffer_offset + r2t.desired_len) as usize);
        let data = task.data.slice(from..to);
        task.sent = to as u32;
        task.spoiled |= matches!(how, 2..=4);
        let pieces = data.len().div_ceil(MAX_SENT);
        for (number, piece) in data.chunks(MAX_SENT).enumerate() {
            let mut pdu = DataOut {
                last: number + 1 == pieces,
                lun: r2t.lun,
                itt: r2t.itt,
                ttt: if how == 1 { Ttt(r2t.ttt.0 ^ 0x100) } else { r2t.ttt },
                exp_stat_sn: StatSn(0),
                data_sn: number as u32,
                buffer_offset: (from + number * MAX_SENT) as u32,
            };
            match how {
                2 => pdu.last = !pdu.last,
                3 => pdu.buffer_offset += 4,
                4 => pdu.data_sn += 1,
                5 => pdu.itt = Itt(pdu.itt.0 ^ 0x8000_0000),
                _ => {}
            }
            let wire = self.wire(pdu.encode(), piece);
            self.send(&wire);
        }
        if matches!(how, 2..=4) {
            // §11.4.2: a command with wrong data ends with the last of it.
            let (itt, ttt) = (r2t.itt, r2t.ttt);
            let last =
                DataOut { last: true, lun: r2t.lun, itt, ttt, exp_stat_sn: StatSn(0), data_sn: 9, buffer_offset: 0 };
            let wire = self.wire(last.encode(), &[]);
            self.send(&wire);
        }
        if matches!(how, 1 | 5) {
            // Nobody asked for that: the right data may still come.
            self.owed.push(*r2t);
        }
    }

    /// A request that no target knows.
    fn junk(&mut self, input: &mut Input, how: u8) {
        let mut bhs = input.array::<48>();
        bhs[0] = bhs[0] & 0xc0 | [0x10, 0x07, 0x1f, 0x20, 0x25, 0x31, 0x3f, 0x1d][usize::from(how & 7)];
        bhs[4] = 0;
        let wire = self.wire(bhs, input.take(usize::from(how >> 3)));
        bhs.copy_from_slice(&wire[..48]);
        self.rejects.push(bhs);
        self.send(&wire);
    }

    /// A command with the tag of one that is outstanding.
    fn reuse(&mut self, how: u8) {
        let mut running = self.tasks.iter().filter(|(_, task)| task.is_scsi() && !task.optional && !task.gone);
        let (Some((itt, task)), true) = (running.next(), self.held.is_empty()) else { return };
        let awaited = self.reads.iter().any(|read| {
            let end = read.offset.0 + u64::from(read.len);
            let wanted = !self.cancelled.contains(&read.id);
            wanted && read.lun.number().is_some_and(|lun| task.touches(lun, read.offset.0, end))
        });
        if !awaited {
            return;
        }
        // Only one that surely runs: its blocks are still awaited, and nothing else wants blocks.
        if self.tasks.len() > 1 || !matches!(task.kind, Kind::Read { .. }) || self.leaving {
            return;
        }
        let mut bhs = [0; 48];
        (bhs[0], bhs[1]) = (0x41, 0x80 | how & 0x40);
        bhs[16..20].copy_from_slice(&itt.to_be_bytes());
        let wire = self.wire(bhs, &[]);
        self.rejects.push(bhs);
        self.send(&wire);
    }

    /// Time, other sessions, the operator, and our own logout.
    fn world_changes(&mut self, input: &mut Input, how: u8) {
        match how & 7 {
            0 => {
                self.may_close = true;
                self.world.pass(u64::from(input.byte()));
            }
            1 => self.world.pass(u64::from(input.byte() % 30)),
            2 | 3 => {
                let lun = how >> 3 & 3;
                self.world.target.reset_unit(Lun::peripheral(lun));
                self.attentions.iter_mut().for_each(|count| *count += 1);
                self.tasks
                    .values_mut()
                    .filter(|task| task.lun() == lun)
                    .for_each(|task| task.optional |= task.is_scsi());
                self.world.machine.reset(Reset::LogicalUnit(Lun::peripheral(lun)));
            }
            4 => {
                (self.may_close, self.leaving) = (true, true);
                self.tasks.values_mut().for_each(|task| task.optional = true);
                let why = [ShutDown::Revoked, ShutDown::Reinstated][usize::from(how >> 3 & 1)];
                self.world.machine.shut_down(self.world.now, why);
            }
            _ => {
                let mut bhs = [0; 48];
                (bhs[0], bhs[1]) = (0x06, 0x80 | how >> 3 & 3);
                bhs[20..22].copy_from_slice(&[0, input.byte() & 5]);
                self.may_close = true;
                self.submit(bhs, &[], Kind::Logout, Bytes::new(), how >> 6);
            }
        }
        self.world.turn();
        self.take_effects();
    }
}

fn read_cdb(form: u8, lba: u64, blocks: u64) -> (Vec<u8>, u64) {
    let (place, count) = ((lba as u32).to_be_bytes(), (blocks as u32).to_be_bytes());
    match form {
        0 if blocks <= 255 => {
            let counted = if blocks == 0 { 256 } else { blocks };
            (vec![0x08, 0, place[2], place[3], count[3], 0], counted)
        }
        0 | 1 => (vec![0x28, 0, place[0], place[1], place[2], place[3], 0, count[2], count[3], 0], blocks),
        2 => ([&[0xa8, 0][..], &place, &count, &[0, 0]].concat(), blocks),
        _ => ([&[0x88, 0][..], &lba.to_be_bytes(), &count, &[0, 0]].concat(), blocks),
    }
}
