//! Data from the initiator.

use bytes::Bytes;
use iscsi_proto::pdu::{DataOut, R2t, Residual, ScsiResponse, TaskFunction, TaskRequest};
use iscsi_proto::{CmdSn, Itt, Lun, StatSn, Ttt};

use crate::asking::{data_out, manage, status, unit_ready};
use crate::peer::{Peer, opcode};

/// PERSISTENT RESERVE OUT, REGISTER, with a parameter list of 24 bytes.
const REGISTER: [u8; 10] = [0x5f, 0x00, 0, 0, 0, 0, 0, 0, 24, 0];

const KEY: [u8; 24] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0,
];

#[test]
fn a_parameter_list_is_asked_for() {
    let mut peer = Peer::ready(&[]);
    let itt = peer.command(0, &REGISTER, Some(&[]), 24);
    let r2t = R2t::parse(&peer.receive().bhs).unwrap();
    assert_eq!(
        (r2t.itt, r2t.r2t_sn, r2t.buffer_offset, r2t.desired_len),
        (itt, 0, 0, 24)
    );
    data_out(&mut peer, &r2t, 0, 0, false, &KEY[..16]);
    assert!(peer.try_receive().is_none());
    data_out(&mut peer, &r2t, 1, 16, true, &KEY[16..]);
    let response = status(&mut peer);
    assert_eq!((response.itt, response.status), (itt, 0));
    assert_eq!(response.residual, Residual::None);
    // READ KEYS has it.
    peer.command(0, &[0x5e, 0, 0, 0, 0, 0, 0, 0, 16, 0], None, 16);
    assert_eq!(peer.receive().data[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// The wrong PDU is the last one: the command ends with it.
#[test]
fn data_out_of_order_ends_the_command() {
    let (crc, phase, amount) = ([0x47, 0x05], [0x4b, 0x00], [0x0c, 0x0d]);
    for (data_sn, offset, len, asc) in [
        (1, 0, 24, crc),
        (0, 8, 16, phase),
        (0, 0, 16, amount),
        (0, 0, 32, amount),
    ] {
        let mut peer = Peer::ready(&[]);
        peer.command(0, &REGISTER, Some(&[]), 24);
        let r2t = R2t::parse(&peer.receive().bhs).unwrap();
        data_out(&mut peer, &r2t, data_sn, offset, true, &[0; 32][..len]);
        let frame = peer.receive();
        assert_eq!(ScsiResponse::parse(&frame.bhs).unwrap().status, 2);
        assert_eq!(frame.data[2 + 2], 0x0b, "ABORTED COMMAND");
        assert_eq!(frame.data[2 + 12..2 + 14], asc);
        // What still comes is discarded.
        data_out(&mut peer, &r2t, 0, 0, true, &KEY);
        assert!(peer.try_receive().is_none());
    }
}

#[test]
fn writes_are_refused_without_asking_for_their_data() {
    let mut peer = Peer::ready(&[]);
    let write = [0x2a, 0, 0, 0, 0, 0, 0, 0, 8, 0];
    let itt = peer.command(0, &write, Some(&[]), 4096);
    let frame = peer.receive();
    let response = ScsiResponse::parse(&frame.bhs).unwrap();
    assert_eq!((response.itt, response.status), (itt, 2));
    assert_eq!(response.residual, Residual::Underflow(4096));
    assert_eq!(
        (frame.data[2 + 2], frame.data[2 + 12]),
        (0x07, 0x27),
        "WRITE PROTECTED"
    );
    let unasked = DataOut {
        last: true,
        lun: Lun::peripheral(0),
        itt,
        ttt: Ttt::RESERVED,
        exp_stat_sn: StatSn(0),
        data_sn: 0,
        buffer_offset: 4096,
    };
    peer.send(unasked.encode(), vec![7; 4096]);
    assert!(peer.try_receive().is_none());
    unit_ready(&mut peer, response.numbers.exp_cmd_sn.0);
    assert_eq!(status(&mut peer).status, 0);
}

/// VERIFY (10) with BYTCHK=1 over more than one burst, against what the disk holds.
#[test]
fn verify_compares() {
    let mut peer = Peer::ready(&[("MaxBurstLength", "8192")]);
    let disk = crate::peer::disk_bytes(0, 0, 32 * 512);
    for differs in [false, true] {
        let mut data = disk.to_vec();
        data[9000] ^= u8::from(differs);
        let verify = [0x2f, 0x02, 0, 0, 0, 0, 0, 0, 32, 0];
        peer.command(0, &verify, Some(&[]), 16_384);
        for burst in 0..2 {
            let r2t = R2t::parse(&peer.receive().bhs).unwrap();
            assert_eq!((r2t.r2t_sn, r2t.buffer_offset), (burst, burst * 8192));
            let from = r2t.buffer_offset as usize;
            data_out(
                &mut peer,
                &r2t,
                0,
                r2t.buffer_offset,
                true,
                &data[from..from + 8192],
            );
        }
        let frame = peer.receive();
        let response = ScsiResponse::parse(&frame.bhs).unwrap();
        assert_eq!(response.residual, Residual::None);
        assert_eq!(response.status, if differs { 2 } else { 0 });
        if differs {
            assert_eq!(frame.data[2 + 2] & 0x0f, 0x0e, "MISCOMPARE");
            assert_eq!(frame.data[2 + 3..2 + 7], [0, 0, 0x23, 0x28]);
        }
    }
    assert_eq!(peer.machine.status().bytes_read, 0);
}

#[test]
fn data_from_the_initiator_is_bounded() {
    let mut peer = Peer::ready(&[]);
    // 1 MiB each; two fit.
    let verify = [0x2f, 0x02, 0, 0, 0, 0, 0, 0x08, 0x00, 0];
    let first = peer.command(0, &verify, Some(&[]), 1 << 20);
    for _ in 0..2 {
        peer.command(0, &verify, Some(&[]), 1 << 20);
    }
    for _ in 0..2 {
        assert_eq!(opcode(&peer.receive()), 0x31);
    }
    assert!(peer.try_receive().is_none());
    let abort = TaskRequest {
        immediate: true,
        function: TaskFunction::AbortTask,
        lun: Lun::peripheral(0),
        itt: Itt(0x7000),
        referenced: first,
        cmd_sn: CmdSn(peer.cmd_sn),
        exp_stat_sn: StatSn(0),
        ref_cmd_sn: CmdSn(peer.cmd_sn - 3),
    };
    peer.send(abort.encode(), Bytes::new());
    assert_eq!(
        [opcode(&peer.receive()), opcode(&peer.receive())],
        [0x31, 0x22]
    );
}

/// A command that waits for room is aborted and comes again under the same tag: one R2T, not two.
#[test]
fn an_aborted_command_does_not_wait_any_more() {
    let mut peer = Peer::ready(&[]);
    let verify = [0x2f, 0x02, 0, 0, 0, 0, 0, 0x08, 0x00, 0];
    let [first, second, third, fourth] =
        [(); 4].map(|()| peer.command(0, &verify, Some(&[]), 1 << 20));
    for asked in [first, second] {
        assert_eq!(R2t::parse(&peer.receive().bhs).unwrap().itt, asked);
    }
    assert_eq!(manage(&mut peer, TaskFunction::AbortTask, 0, fourth), 0);
    peer.next_itt = fourth.0 - 1;
    peer.command(0, &verify, Some(&[]), 1 << 20);
    assert!(peer.try_receive().is_none());
    // Both places are free.
    let abort = |peer: &mut Peer, referenced| {
        let request = TaskRequest {
            immediate: true,
            function: TaskFunction::AbortTask,
            lun: Lun::peripheral(0),
            itt: Itt(0x7000),
            referenced,
            cmd_sn: CmdSn(peer.cmd_sn),
            exp_stat_sn: StatSn(0),
            ref_cmd_sn: CmdSn(0),
        };
        peer.send(request.encode(), Bytes::new());
        let asked = R2t::parse(&peer.receive().bhs).unwrap().itt;
        assert_eq!(opcode(&peer.receive()), 0x22);
        asked
    };
    assert_eq!(abort(&mut peer, first), third);
    assert_eq!(abort(&mut peer, second), fourth);
    assert!(peer.try_receive().is_none());
}
