//! Every PDU is counted once, and so is every command.

use iscsi_proto::Itt;
use iscsi_proto::counts::{CommandEnd, Counted, Fate, PduKind};
use iscsi_proto::pdu::{Bhs, LoginStage};
use iscsi_proto::text;

use crate::noise::{Noise, request};
use crate::peer::{INITIATOR, Peer, TARGET};

/// All that was counted so far, and nothing of it twice.
fn take(peer: &mut Peer) -> Vec<Counted> {
    let mut all = Vec::new();
    peer.machine.take_counts(|counted| all.push(counted));
    all
}

fn pdus(counted: &[Counted]) -> u64 {
    let number = |counted: &Counted| match counted {
        Counted::Pdus(_, _, number) => *number,
        Counted::Commands(..) => 0,
    };
    counted.iter().map(number).sum()
}

/// Commands that ended, and requests for commands that were accepted.
fn commands(counted: &[Counted]) -> (u64, u64) {
    counted
        .iter()
        .fold((0, 0), |(ended, accepted), counted| match *counted {
            Counted::Commands(_, _, number) => (ended + number, accepted),
            Counted::Pdus(PduKind::ScsiCommand, Fate::Accepted, number) => {
                (ended, accepted + number)
            }
            Counted::Pdus(..) => (ended, accepted),
        })
}

#[test]
fn noise_in_a_session() {
    for seed in 1..60 {
        let mut noise = Noise::new(seed);
        let mut peer = Peer::ready(&[("MaxBurstLength", "4096")]);
        peer.reads_at_once = false;
        take(&mut peer);
        let mut sent = 0;
        let mut all = Vec::new();
        for _ in 0..400 {
            let mut bhs = request(&mut noise, &peer);
            if noise.next(500) == 0 {
                // A login after login: the connection is over.
                bhs[0] = 0x43;
            }
            let data = vec![noise.byte(); usize::try_from(noise.pick(&[0, 0, 24, 4096])).unwrap()];
            if !peer.machine.wants_input() {
                break;
            }
            sent += 1;
            peer.send(bhs, data);
            if noise.next(3) == 0
                && let Some(read) = peer.reads.pop()
            {
                peer.answer(&read);
            }
            for _ in 0..6 {
                let Some(frame) = peer.try_receive() else {
                    break;
                };
                peer.cmd_sn = u32::from_be_bytes(frame.bhs[28..32].try_into().unwrap());
            }
            if noise.next(50) == 0 {
                all.extend(take(&mut peer));
            }
            if peer.error.is_some() {
                break;
            }
        }
        peer.machine.end_counts();
        all.extend(take(&mut peer));
        assert_eq!(pdus(&all), sent, "seed {seed}: {all:?}");
        let (ended, accepted) = commands(&all);
        assert_eq!(ended, accepted, "seed {seed}: {all:?}");
        peer.machine.end_counts();
        assert_eq!(take(&mut peer), []);
    }
}

#[test]
fn noise_in_a_login() {
    let keys = text::encode(&[
        ("InitiatorName", INITIATOR),
        ("TargetName", TARGET),
        ("AuthMethod", "CHAP"),
        ("CHAP_A", "5"),
    ]);
    for seed in 1..1000 {
        let mut noise = Noise::new(seed);
        let mut peer = Peer::new();
        let mut sent = 0;
        for _ in 0..4 {
            let mut bhs = peer.login_request(LoginStage::Security, None).encode();
            let mut data = keys.to_vec();
            for _ in 0..noise.next(4) {
                let at = usize::try_from(noise.next(4)).unwrap();
                bhs[at] = noise.byte();
                let at = usize::try_from(noise.next(data.len() as u64)).unwrap();
                data[at] = noise.byte();
            }
            if peer.machine.is_closed() || peer.error.is_some() || !peer.machine.wants_input() {
                break;
            }
            sent += 1;
            peer.send(bhs, data);
            while peer.try_receive().is_some() {}
        }
        peer.machine.end_counts();
        let all = take(&mut peer);
        assert_eq!(pdus(&all), sent, "seed {seed}: {all:?}");
    }
}

/// A request of this code whose task tag is 1 and whose length is 0.
fn bare(first: u8) -> Bhs {
    let mut bhs = [0; 48];
    (bhs[0], bhs[1], bhs[19]) = (first, 0x80, 1);
    bhs
}

#[test]
fn each_by_what_became_of_it() {
    let mut peer = Peer::ready(&[]);
    take(&mut peer);
    peer.read(0, 0, 8);
    // Past the end of the disk: ILLEGAL REQUEST.
    peer.read(0, 0x7fff_ffff, 8);
    peer.command(0, &[0xc0, 0, 0, 0, 0, 0], None, 0);
    peer.reads_at_once = false;
    peer.read(0, 0, 8);
    peer.send(bare(0x10), Vec::new());
    peer.send(bare(0x3f), Vec::new());
    peer.send(bare(0x40), Vec::new());
    peer.send(bare(0x05), Vec::new());
    // CmdSN 0 was long ago.
    peer.send(bare(0x01), Vec::new());
    while peer.try_receive().is_some() {}
    peer.machine.end_counts();
    let all = take(&mut peer);
    for wanted in [
        Counted::Pdus(PduKind::ScsiCommand, Fate::Accepted, 4),
        Counted::Pdus(PduKind::Snack, Fate::RejectedSnack, 1),
        Counted::Pdus(PduKind::Other, Fate::RejectedNotSupported, 1),
        Counted::Pdus(PduKind::NopOut, Fate::Accepted, 1),
        Counted::Pdus(PduKind::DataOut, Fate::IgnoredUnasked, 1),
        Counted::Pdus(PduKind::ScsiCommand, Fate::IgnoredOutsideWindow, 1),
        Counted::Commands(Some(0x28), CommandEnd::Good, 1),
        Counted::Commands(Some(0x28), CommandEnd::CheckCondition(5), 1),
        Counted::Commands(None, CommandEnd::CheckCondition(5), 1),
        Counted::Commands(Some(0x28), CommandEnd::Aborted, 1),
    ] {
        assert!(all.contains(&wanted), "{wanted:?} is not in {all:?}");
    }
    assert_eq!(all.len(), 10, "{all:?}");
}

#[test]
fn a_status_says_whose_it_is() {
    let mut peer = Peer::ready(&[]);
    let itt = peer.read(0, 0, 8);
    let mut ended = Vec::new();
    while let Some(pdu) = peer.machine.poll_transmit() {
        ended.extend(pdu.ends);
    }
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].itt, ended[0].opcode), (itt, Some(0x28)));
    assert_eq!(ended[0].end, CommandEnd::Good);
    assert_eq!(ended[0].began, Some(peer.now));
    assert_ne!(itt, Itt::RESERVED);
}
