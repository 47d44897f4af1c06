//! The end of a run: everything is brought to its end, and nothing may be left.

use iscsi_proto::Stage;

use super::{READ_LIMITS, Session};

impl Session {
    /// Sends, answers and takes all that is outstanding, then looks for what is left.
    pub fn finish(mut self) {
        for (_, request) in std::mem::take(&mut self.held) {
            self.send(&request);
        }
        self.settle();
        if self.world.machine.status().stage == Stage::Closing {
            assert!(self.may_close);
            return assert!(self.leaving || self.world.machine.is_closed());
        }
        assert!(self.world.error.is_none() && self.world.untaken() == 0);
        let waiting: Vec<_> = self.tasks.values().filter(|task| !task.optional).map(|task| &task.kind).collect();
        assert!(waiting.is_empty(), "never answered: {waiting:?}");
        assert!(self.rejects.is_empty(), "never rejected: {:02x?}", self.rejects);
        self.nothing_is_left();
    }

    fn settle(&mut self) {
        loop {
            let mut idle = true;
            while self.receive().is_some() {
                idle = false;
            }
            while !self.reads.is_empty() {
                self.complete(0, 0);
                idle = false;
            }
            for r2t in std::mem::take(&mut self.owed) {
                self.data_out(&r2t, 0);
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    /// The whole window is open again, and a read may take the whole budget.
    fn nothing_is_left(&mut self) {
        let mut nop = [0; 48];
        (nop[0], nop[1]) = (0x40, 0x80);
        nop[16..20].copy_from_slice(&7_u32.to_be_bytes());
        nop[20..24].fill(0xff);
        nop[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
        let mut read = [0; 48];
        (read[0], read[1]) = (0x41, 0xc1);
        read[16..20].copy_from_slice(&9_u32.to_be_bytes());
        read[20..24].copy_from_slice(&(4_u32 << 20).to_be_bytes());
        read[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
        // READ (10) of 8192 blocks.
        (read[32], read[39]) = (0x28, 0x20);
        self.take_attention();
        let wires = [self.wire(nop, &[]), self.wire(read, &[])];
        self.world.send(&wires[0]);
        let pdu = self.world.receive().expect("an answer to a NOP-Out");
        let word = |at: usize| u32::from_be_bytes(pdu.head.as_ref()[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((word(28), word(32)), (self.cmd_sn, self.cmd_sn + 127), "the window");
        self.world.send(&wires[1]);
        self.take_effects();
        let out: u64 = self.reads.iter().map(|read| u64::from(read.len)).sum();
        assert_eq!(out, READ_LIMITS.0, "the budget for reads");
    }

    /// TEST UNIT READY until LUN 0 has nothing more to tell.
    fn take_attention(&mut self) {
        let mut ready = [0; 48];
        (ready[0], ready[1], ready[19]) = (0x41, 0x80, 8);
        let wire = self.wire(ready, &[]);
        for _ in 0..=self.attentions[0] {
            self.world.send(&wire);
            self.world.receive().expect("an answer to TEST UNIT READY");
        }
    }
}
