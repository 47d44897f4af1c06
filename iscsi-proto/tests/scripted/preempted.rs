//! PREEMPT AND ABORT: another port ends the commands of this one, which hears of it only by the unit attention.

use std::sync::Arc;

use chap::Algorithm;
use iscsi_proto::pdu::R2t;
use iscsi_proto::scsi::SenseForm;
use iscsi_proto::{Effect, Lun, Reset, Target};

use crate::asking::{data_out, sense, status, take_data};
use crate::peer::{Peer, disk_bytes, opcode, target};

/// A port with this number, registered under this key in LUN 0.
fn registered(target: &Arc<Target>, port: u8) -> Peer {
    let mut peer = Peer::with(Arc::clone(target), None);
    peer.port = port;
    peer.login(Algorithm::Md5, &[("MaxRecvDataSegmentLength", "262144")]);
    for lun in 0..2 {
        peer.command(lun, &[0; 6], None, 0);
        assert_eq!(status(&mut peer).status, 2, "power on");
    }
    reserve_out(&mut peer, 0x00, 0, port);
    peer
}

/// PERSISTENT RESERVE OUT with the two keys of its parameter list.
fn reserve_out(peer: &mut Peer, action: u8, key: u8, action_key: u8) {
    peer.command(0, &[0x5f, action, 0, 0, 0, 0, 0, 0, 24, 0], Some(&[]), 24);
    let r2t = R2t::parse(&peer.receive().bhs).unwrap();
    let mut list = [0; 24];
    (list[7], list[15]) = (key, action_key);
    data_out(peer, &r2t, 0, 0, true, &list);
    assert_eq!(status(peer).status, 0);
}

/// What the caller then hands to the victim's session.
fn preempt_and_abort(peer: &mut Peer, victim: &Peer) -> Reset {
    reserve_out(peer, 0x05, peer.port, victim.port);
    match std::mem::take(&mut peer.others)[..] {
        [Effect::ResetOthers(reset)] => reset,
        ref others => panic!("{others:?}"),
    }
}

fn is_told(victim: &mut Peer) {
    victim.command(0, &[0; 6], None, 0);
    assert_eq!(sense(victim), [0x06, 0x2a, 0x05], "REGISTRATIONS PREEMPTED");
}

#[test]
fn what_waits_for_data_is_not_carried_out() {
    let target = target();
    let [mut victim, mut other] = [1, 2].map(|port| registered(&target, port));
    // MODE SELECT (6) that would set D_SENSE.
    victim.command(0, &[0x15, 0x10, 0, 0, 16, 0], Some(&[]), 16);
    let r2t = R2t::parse(&victim.receive().bhs).unwrap();
    let reset = preempt_and_abort(&mut other, &victim);
    let control = [
        0, 0, 0, 0, 0x0a, 0x0a, 0x04, 0x10, 0, 0, 0, 0, 0xff, 0xff, 0, 0,
    ];
    data_out(&mut victim, &r2t, 0, 0, true, &control);
    assert!(victim.try_receive().is_none());
    victim.machine.reset(reset);
    assert_eq!(opcode(&victim.receive()), 0x20, "MaxCmdSN has moved");
    is_told(&mut victim);
    assert_eq!(target.sense_form(Lun::peripheral(0)), SenseForm::Fixed);
}

/// Data that nobody wants any more gives its memory to a read of another unit, which has nobody else to wake it.
#[test]
fn reads_of_another_unit_go_on() {
    let target = target();
    let [mut victim, mut other] = [1, 2].map(|port| registered(&target, port));
    // 4 MiB, all that there is room for.
    victim.read(0, 0, 8192);
    let other_unit = victim.read(1, 0, 512);
    let reset = preempt_and_abort(&mut other, &victim);
    assert!(
        victim.try_receive().is_none(),
        "not a byte of what was aborted"
    );
    victim.machine.reset(reset);
    victim.turn();
    assert_eq!(opcode(&victim.receive()), 0x20, "MaxCmdSN has moved");
    let (data, _) = take_data(&mut victim, other_unit, 262_144, 262_144);
    assert_eq!(data, disk_bytes(1, 0, 512 * 512));
    is_told(&mut victim);
}
