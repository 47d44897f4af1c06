//! What a scripted initiator asks for, and how it looks at the answers.

use bytes::Bytes;
use iscsi_proto::pdu::{
    DataIn, DataOut, LogoutReason, LogoutRequest, LogoutResponse, NopOut, R2t, Reject,
    ScsiResponse, TaskFunction, TaskRequest, TaskResponse, TextRequest,
};
use iscsi_proto::{Cid, CmdSn, Itt, Lun, StatSn, Ttt};

use crate::peer::Peer;

/// A header from its twelve words.
pub(crate) fn header(words: [u32; 12]) -> [u8; 48] {
    let mut bhs = [0; 48];
    for (bytes, word) in bhs.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bhs
}

/// Sense key, additional sense code and qualifier of a CHECK CONDITION, fixed format.
pub(crate) fn sense(peer: &mut Peer) -> [u8; 3] {
    let frame = peer.receive();
    assert_eq!((frame.bhs[0], frame.bhs[3]), (0x21, 0x02));
    [frame.data[2 + 2], frame.data[2 + 12], frame.data[2 + 13]]
}

pub(crate) fn status(peer: &mut Peer) -> ScsiResponse {
    ScsiResponse::parse(&peer.receive().bhs).unwrap()
}

/// TEST UNIT READY with this command number; whatever number the peer had in mind stays.
pub(crate) fn unit_ready(peer: &mut Peer, cmd_sn: u32) {
    let own = std::mem::replace(&mut peer.cmd_sn, cmd_sn);
    peer.command(0, &[0; 6], None, 0);
    peer.cmd_sn = own;
}

pub(crate) fn nop(peer: &mut Peer, itt: Itt, ttt: Ttt) {
    let (lun, cmd_sn, exp_stat_sn) = (Lun::peripheral(0), CmdSn(peer.cmd_sn), StatSn(0));
    let nop = NopOut {
        immediate: true,
        lun,
        itt,
        ttt,
        cmd_sn,
        exp_stat_sn,
    };
    peer.send(nop.encode(), Bytes::new());
}

pub(crate) fn text_request(peer: &mut Peer, ttt: Ttt, more: bool, data: &[u8]) {
    let request = TextRequest {
        immediate: true,
        last: !more,
        more,
        lun: Lun::peripheral(0),
        itt: Itt(9),
        ttt,
        cmd_sn: CmdSn(peer.cmd_sn),
        exp_stat_sn: StatSn(0),
    };
    peer.send(request.encode(), data.to_vec());
}

/// The reason, after a look at the header that comes back.
pub(crate) fn rejected(peer: &mut Peer, first: u8) -> u8 {
    let frame = peer.receive();
    assert_eq!(frame.data.len(), 48);
    assert_eq!(frame.data[0], first);
    Reject::parse(&frame.bhs).unwrap().reason
}

pub(crate) fn data_out(
    peer: &mut Peer,
    r2t: &R2t,
    data_sn: u32,
    offset: u32,
    last: bool,
    data: &[u8],
) {
    let pdu = DataOut {
        last,
        lun: Lun::peripheral(0),
        itt: r2t.itt,
        ttt: r2t.ttt,
        exp_stat_sn: StatSn(0),
        data_sn,
        buffer_offset: offset,
    };
    peer.send(pdu.encode(), data.to_vec());
}

/// Takes Data-In until the status; checks the sequence rules on the way.
pub(crate) fn take_data(
    peer: &mut Peer,
    itt: Itt,
    segment: usize,
    burst: usize,
) -> (Bytes, DataIn) {
    let mut data = Vec::new();
    let mut in_burst = 0;
    for data_sn in 0.. {
        let frame = peer.receive();
        let pdu = DataIn::parse(&frame.bhs).unwrap();
        assert_eq!((pdu.itt, pdu.data_sn), (itt, data_sn));
        assert_eq!(pdu.buffer_offset as usize, data.len());
        assert!(frame.data.len() <= segment);
        data.extend_from_slice(&frame.data);
        in_burst += frame.data.len();
        assert!(in_burst <= burst);
        assert_eq!(pdu.last, in_burst == burst || pdu.status.is_some());
        if pdu.last {
            in_burst = 0;
        }
        if pdu.status.is_some() {
            return (data.into(), pdu);
        }
    }
    unreachable!("a command ends")
}

pub(crate) fn manage(peer: &mut Peer, function: TaskFunction, lun: u8, referenced: Itt) -> u8 {
    let request = TaskRequest {
        immediate: true,
        function,
        lun: Lun::peripheral(lun),
        itt: Itt(0x7000),
        referenced,
        cmd_sn: CmdSn(peer.cmd_sn),
        exp_stat_sn: StatSn(0),
        ref_cmd_sn: CmdSn(peer.cmd_sn - 1),
    };
    peer.send(request.encode(), Bytes::new());
    let response = TaskResponse::parse(&peer.receive().bhs).unwrap();
    assert_eq!(response.itt, Itt(0x7000));
    response.response
}

pub(crate) fn logout(peer: &mut Peer) -> LogoutResponse {
    let request = LogoutRequest {
        immediate: true,
        reason: LogoutReason::CloseSession,
        itt: Itt(0x8000),
        cid: Cid(5),
        cmd_sn: CmdSn(peer.cmd_sn),
        exp_stat_sn: StatSn(0),
    };
    peer.send(request.encode(), Bytes::new());
    LogoutResponse::parse(&peer.receive().bhs).unwrap()
}

pub(crate) fn ping(peer: &mut Peer, itt: u32, data: &'static [u8]) {
    let nop = NopOut {
        immediate: true,
        lun: Lun::peripheral(0),
        itt: Itt(itt),
        ttt: Ttt::RESERVED,
        cmd_sn: CmdSn(peer.cmd_sn),
        exp_stat_sn: StatSn(0),
    };
    peer.send(nop.encode(), data);
}
