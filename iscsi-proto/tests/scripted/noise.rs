//! Peers that send nonsense: nothing panics, nothing grows.

use bytes::Bytes;
use iscsi_proto::pdu::LoginStage;
use iscsi_proto::text;

use crate::peer::{INITIATOR, Peer, TARGET};

/// Xorshift: the same noise in every run.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.next(256)).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next(from.len() as u64)).unwrap()]
    }
}

/// Bytes asked for and not given back.
fn outstanding(peer: &Peer) -> u64 {
    peer.reads.iter().map(|read| u64::from(read.len)).sum()
}

/// A header that gets past the first checks.
pub(crate) fn request(noise: &mut Noise, peer: &Peer) -> [u8; 48] {
    let mut bhs = [0; 48];
    let opcode = noise.pick(&[
        0x00, 0x01, 0x01, 0x01, 0x02, 0x04, 0x05, 0x05, 0x06, 0x10, 0x1f,
    ]);
    bhs[0] = opcode | noise.pick(&[0, 0, 0x40]);
    bhs[1] = noise.pick(&[0x80, 0xc1, 0xa1, 0xe1, 0x81, 0x82, 0x85, 0x86, 0x40, 0x00]);
    if opcode == 0x06 {
        // Another connection: the session goes on.
        (bhs[1], bhs[20]) = (0x81, 9);
    }
    if opcode == 0x04 && bhs[1] & 0xc0 == 0xc0 {
        // F and C: that would end the connection.
        bhs[1] = 0x80;
    }
    bhs[9] = noise.pick(&[0, 0, 1, 7]);
    bhs[19] = noise.byte() & 0x0f;
    let word = noise.pick(&[0, 512, 24, 4096, 70_000, 1 << 20, u32::MAX]);
    bhs[20..24].copy_from_slice(&word.to_be_bytes());
    if matches!(opcode, 0x04 | 0x05) {
        bhs[20..24].copy_from_slice(&noise.pick(&[1_u32, 2, 3, 40, u32::MAX]).to_be_bytes());
    }
    let ahead = noise.pick(&[0_u32, 0, 0, 0, 1, 2, 200]);
    bhs[24..28].copy_from_slice(&(peer.cmd_sn + ahead).to_be_bytes());
    bhs[32] = noise.pick(&[
        0x28, 0x88, 0x2f, 0x5f, 0x5e, 0x12, 0xa0, 0x00, 0x8f, 0x2a, 0x55, 0x7f,
    ]);
    for at in [33, 37, 39, 40, 41] {
        bhs[at] = noise.pick(&[0, 0, 1, 2, 8, 24]);
    }
    bhs
}

#[test]
fn after_login() {
    for seed in 1..60 {
        let mut noise = Noise::new(seed);
        let mut peer = Peer::ready(&[("MaxBurstLength", "4096")]);
        peer.reads_at_once = false;
        let mut numbers = None;
        for _ in 0..400 {
            let bhs = request(&mut noise, &peer);
            let data = vec![noise.byte(); usize::try_from(noise.pick(&[0, 0, 24, 4096])).unwrap()];
            peer.send(bhs, data);
            assert!(outstanding(&peer) <= 4 << 20);
            if noise.next(3) == 0 && !peer.reads.is_empty() {
                let at = usize::try_from(noise.next(peer.reads.len() as u64)).unwrap();
                let read = peer.reads.swap_remove(at);
                if noise.next(8) == 0 {
                    peer.fail(read.id, iscsi_proto::ReadFault { at: read.offset });
                } else {
                    peer.answer(&read);
                }
            }
            for _ in 0..noise.next(4) {
                let Some(frame) = peer.try_receive() else {
                    break;
                };
                let exp: u32 = u32::from_be_bytes(frame.bhs[28..32].try_into().unwrap());
                let max: u32 = u32::from_be_bytes(frame.bhs[32..36].try_into().unwrap());
                // The window never moves back, and is never wider than told.
                if let Some((last_exp, last_max)) = numbers.replace((exp, max)) {
                    assert!(exp >= last_exp && max >= last_max && max + 1 - exp <= 128);
                }
                peer.cmd_sn = exp;
            }
        }
        while let Some(read) = peer.reads.pop() {
            peer.answer(&read);
        }
        while peer.try_receive().is_some() {}
        assert_eq!(peer.error, None);
    }
}

#[test]
fn in_login() {
    let keys = text::encode(&[
        ("InitiatorName", INITIATOR),
        ("TargetName", TARGET),
        ("AuthMethod", "CHAP"),
        ("CHAP_A", "5"),
    ]);
    for seed in 1..3000 {
        let mut noise = Noise::new(seed);
        let mut peer = Peer::new();
        for _ in 0..4 {
            let mut bhs = peer.login_request(LoginStage::Security, None).encode();
            let mut data = keys.to_vec();
            for _ in 0..noise.next(4) {
                let at = usize::try_from(noise.next(48)).unwrap();
                bhs[at] = noise.byte();
                let at = usize::try_from(noise.next(data.len() as u64)).unwrap();
                data[at] = noise.byte();
            }
            peer.send(bhs, Bytes::from(data));
            while peer.try_receive().is_some() {}
        }
        assert!(peer.machine.status().user.is_none());
    }
}

#[test]
fn mere_bytes() {
    for seed in 1..500 {
        let mut noise = Noise::new(seed);
        let mut peer = Peer::new();
        let bytes: Vec<u8> = (0..600).map(|_| noise.byte() & noise.byte()).collect();
        peer.send_raw(&bytes);
        while peer.try_receive().is_some() {}
    }
}
