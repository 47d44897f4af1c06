//! Each PDU of the target, held against what was asked.

use iscsi_proto::pdu::*;
use iscsi_proto::{Frame, Itt};

use super::Session;
use super::task::Kind;
use crate::disk;

impl Session {
    /// Takes the next PDU of the target.
    pub(super) fn receive(&mut self) -> Option<()> {
        let pdu = self.world.receive()?;
        self.take_effects();
        [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].iter().for_each(|part| self.inbox.extend_from_slice(part));
        let frame = self.framing.next(&mut self.inbox).expect("a PDU").expect("a whole one");
        assert!(self.inbox.is_empty() && !frame.data_corrupt && frame.data.len() <= self.max_recv as usize);
        self.check_numbers(&frame.bhs);
        match frame.bhs[0] {
            0x20 => self.nop_in(&frame),
            0x21 => self.scsi_response(&frame),
            0x22 => self.managed(&frame),
            0x24 => self.text_response(&frame),
            0x25 => self.data_in(&frame),
            0x26 => {
                let response = LogoutResponse::parse(&frame.bhs).expect("a logout response");
                assert_eq!(self.answered(response.itt), Kind::Logout);
            }
            0x31 => self.r2t(&frame),
            0x32 => assert!(self.leaving, "an asynchronous message"),
            0x3f => self.rejected(&frame),
            other => panic!("operation code {other:#04x}"),
        }
        Some(())
    }

    /// RFC 7143 §4.2.2: status numbers go up by one, the window never moves back.
    fn check_numbers(&mut self, bhs: &Bhs) {
        let word = |at: usize| u32::from_be_bytes([bhs[at], bhs[at + 1], bhs[at + 2], bhs[at + 3]]);
        let is_ping = bhs[0] == 0x20 && word(16) == u32::MAX;
        if bhs[0] != 0x25 || bhs[1] & 0x01 != 0 {
            assert_eq!(word(24), self.stat_sn, "StatSN");
            self.stat_sn += u32::from(bhs[0] != 0x31 && !is_ping);
        }
        let (expected, last) = (word(28), word(32));
        assert!(expected >= self.window.0 && expected <= self.cmd_sn, "ExpCmdSN");
        assert!(last >= self.window.1 && last + 1 - expected <= 128, "MaxCmdSN");
        self.window = (expected, last);
    }

    /// The end of a request.
    fn answered(&mut self, itt: Itt) -> Kind {
        let task = self.tasks.remove(&itt.0).expect("answered once");
        assert!(!task.gone, "answered after its end: {:?}", task.kind);
        task.kind
    }

    fn nop_in(&mut self, frame: &Frame) {
        let nop = NopIn::parse(&frame.bhs).expect("a NOP-In");
        if nop.itt == Itt::RESERVED {
            // Without a tag it only tells the window.
            self.ping = Some(nop.ttt.0).filter(|ttt| *ttt != u32::MAX).or(self.ping);
            return;
        }
        let sent = &self.tasks[&nop.itt.0];
        let echo = &sent.data[..sent.data.len().min(self.max_recv as usize)];
        assert_eq!((&frame.data[..], nop.ttt.0), (echo, u32::MAX));
        assert_eq!(self.answered(nop.itt), Kind::Nop);
    }

    fn data_in(&mut self, frame: &Frame) {
        let pdu = DataIn::parse(&frame.bhs).expect("a Data-In");
        let max_burst = self.max_burst;
        let task = self.tasks.get_mut(&pdu.itt.0).expect("data of a command that is outstanding");
        let len = frame.data.len() as u32;
        assert!(!task.gone && task.is_scsi() && !pdu.acknowledge && len <= 262_144);
        assert_eq!((pdu.data_sn, pdu.buffer_offset), (task.data_sn, task.got));
        if let Kind::Read { lun, range, compares } = task.kind {
            assert!(!compares && frame.data == disk::contents(lun, range.0 + u64::from(task.got), len as usize));
        }
        (task.data_sn, task.got, task.burst) = (task.data_sn + 1, task.got + len, task.burst + len);
        assert!(task.got <= task.room() && task.burst <= max_burst, "{} bytes of {}", task.got, task.room());
        // RFC 7143 §11.7.1: F ends a sequence, and only a full one or the last one is ended.
        assert!(if pdu.last { task.burst == max_burst || pdu.status.is_some() } else { task.burst < max_burst });
        task.burst = if pdu.last { 0 } else { task.burst };
        if let Some((status, residual)) = pdu.status {
            assert_eq!(status, 0, "only GOOD comes with data");
            self.ended_well(pdu.itt, residual);
        }
    }

    fn ended_well(&mut self, itt: Itt, residual: Residual) {
        let task = &self.tasks[&itt.0];
        if let Kind::Read { range, compares, .. } = task.kind {
            let len = if compares { 0 } else { range.1 - range.0 };
            assert_eq!(u64::from(task.got), len.min(u64::from(task.room())));
            assert!(task.in_range() && !task.spoiled && !task.is_both(), "GOOD");
            let range = (range.0, range.1 - range.0);
            let lun = task.lun();
            assert!(!compares || task.data == disk::contents(lun, range.0, range.1 as usize), "compared");
        }
        self.check_residual(itt, true, residual);
        self.answered(itt);
    }

    fn check_residual(&self, itt: Itt, good: bool, residual: Residual) {
        let task = &self.tasks[&itt.0];
        if let Some(expected) = task.residual(good) {
            assert_eq!(residual, expected);
        }
        let expected = task.expected();
        match residual {
            Residual::Underflow(left) if task.is_in() => assert_eq!(task.got + left, expected),
            Residual::Underflow(left) => assert!(left <= expected && task.is_out()),
            _ if task.is_in() => assert_eq!(task.got, expected),
            _ => {}
        }
    }

    fn scsi_response(&mut self, frame: &Frame) {
        let pdu = ScsiResponse::parse(&frame.bhs).expect("a SCSI response");
        let task = self.tasks.get(&pdu.itt.0).expect("a command that is outstanding");
        assert!(task.is_scsi() && pdu.response == 0);
        assert_eq!(pdu.exp_data_sn, task.data_sn);
        let modelled = matches!(task.kind, Kind::Read { .. });
        match pdu.status {
            0x00 => self.ended_well(pdu.itt, pdu.residual),
            0x18 if !modelled => drop(self.answered(pdu.itt)),
            0x02 => {
                self.check_condition(pdu.itt, &frame.data);
                self.check_residual(pdu.itt, false, pdu.residual);
                self.answered(pdu.itt);
            }
            other => panic!("status {other:#04x}"),
        }
        self.owed.retain(|r2t| r2t.itt != pdu.itt);
    }

    /// Sense data has a reason (SPC-4 4.5).
    fn check_condition(&mut self, itt: Itt, segment: &[u8]) {
        let len = usize::from(segment[0]) << 8 | usize::from(segment[1]);
        let sense = &segment[2..];
        assert_eq!(sense.len(), len);
        let descriptors = sense[0] & 0x7f == 0x72;
        let key = if descriptors { sense[1] } else { sense[2] } & 0x0f;
        let task = &self.tasks[&itt.0];
        let lun = usize::from(task.lun());
        match (key, &task.kind) {
            (0x6, _) => {
                assert!(self.attentions[lun] > 0, "a unit attention of nothing");
                self.attentions[lun] -= 1;
            }
            (0x3, _) => {
                assert!(task.may_fail || !matches!(task.kind, Kind::Read { .. }));
                let valid = sense[0] & 0x80 != 0;
                let lba = u32::from_be_bytes([sense[3], sense[4], sense[5], sense[6]]);
                assert!(descriptors || !valid || self.faults.contains(&(lun as u8, lba.into())), "{lba}");
            }
            (0x5, Kind::Read { .. }) => assert!(!task.in_range() || task.is_both()),
            (0xe, Kind::Read { lun, range, compares }) => {
                let held = disk::contents(*lun, range.0, (range.1 - range.0) as usize);
                assert!(*compares && task.data != held, "no difference");
            }
            (0xb, _) => assert!(task.spoiled),
            (_, Kind::Command) => {}
            other => panic!("sense key {other:?}"),
        }
    }

    fn managed(&mut self, frame: &Frame) {
        let pdu = TaskResponse::parse(&frame.bhs).expect("a task management response");
        let (function, lun) = self.tasks.get(&pdu.itt.0).map_or((0, 0), |task| (task.bhs[1] & 0x7f, task.lun()));
        let Kind::Manage { ended, surely } = self.answered(pdu.itt) else { panic!("another request") };
        if function != 1 && pdu.response == 0 {
            // Where it was held back, whatever was there when it ran may have ended; where it waited for a
            // number, what was immediate.
            let hit = self.tasks.values_mut().filter(|task| {
                task.is_scsi() && (!surely || task.bhs[0] & 0x40 != 0) && (function > 5 || task.lun() == lun)
            });
            hit.for_each(|task| task.optional = true);
        }
        for itt in ended.into_iter().filter(|_| pdu.response == 0) {
            self.owed.retain(|r2t| r2t.itt.0 != itt || !surely);
            if let Some(task) = self.tasks.get_mut(&itt) {
                task.optional = true;
                task.gone |= surely;
            }
        }
    }

    fn text_response(&mut self, frame: &Frame) {
        let pdu = TextResponse::parse(&frame.bhs).expect("a text response");
        assert_eq!(pdu.last, pdu.ttt.0 == u32::MAX);
        self.text_ttt = pdu.ttt.0;
        assert_eq!(self.answered(pdu.itt), Kind::Text);
    }

    fn r2t(&mut self, frame: &Frame) {
        let pdu = R2t::parse(&frame.bhs).expect("an R2T");
        let task = self.tasks.get_mut(&pdu.itt.0).expect("a command that is outstanding");
        assert!(!task.gone && task.is_out() && !self.owed.iter().any(|owed| owed.itt == pdu.itt));
        assert_eq!((pdu.r2t_sn, pdu.buffer_offset), (task.r2t_sn, task.sent));
        assert!(pdu.desired_len <= self.max_burst && pdu.buffer_offset + pdu.desired_len <= task.expected());
        task.r2t_sn += 1;
        self.owed.push(pdu);
    }

    /// RFC 7143 §11.17: the header that is rejected comes back.
    fn rejected(&mut self, frame: &Frame) {
        let reason = Reject::parse(&frame.bhs).expect("a reject").reason;
        let bhs: &Bhs = frame.data[..].try_into().expect("a header");
        if let Some(at) = self.rejects.iter().position(|rejected| rejected == bhs) {
            self.rejects.swap_remove(at);
            return;
        }
        let itt = Itt(u32::from_be_bytes([bhs[16], bhs[17], bhs[18], bhs[19]]));
        let many = (bhs[0] == 0x41 || bhs[0] & 0x3f == 0x02) && reason == 0x06;
        let invalid = matches!(bhs[0] & 0x3f, 0x04 | 0x06) && matches!(reason, 0x04 | 0x09);
        assert!(many || invalid || self.leaving && reason == 0x0c, "{reason:#04x} for {bhs:02x?}");
        assert_eq!(&self.tasks[&itt.0].bhs, bhs);
        self.answered(itt);
        // §7.3: a request that is rejected was not received, so its number is still awaited.
        if bhs[0] & 0x40 == 0 {
            self.fill(u32::from_be_bytes([bhs[24], bhs[25], bhs[26], bhs[27]]));
        }
    }
}
