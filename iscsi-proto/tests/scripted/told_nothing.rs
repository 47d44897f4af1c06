//! Who has not proven who they are is told of no target, and a login cannot be made to say more.

use iscsi_proto::pdu::{LoginResponse, LoginStage};
use iscsi_proto::text;

use crate::dialogue::said;
use crate::logging_in::FIRST;
use crate::peer::{Peer, TARGET};

/// What comes back of a login whose first so many steps are right, and which then asks this.
fn asked(steps: usize, key: (&str, &str)) -> Vec<u8> {
    let mut peer = Peer::new();
    let right: [&[(&str, &str)]; 2] = [&FIRST, &[("CHAP_A", "5")]];
    for keys in &right[..steps] {
        peer.login_step(LoginStage::Security, None, keys);
    }
    let mut keys = right.get(steps).map_or(vec![], |keys| keys.to_vec());
    keys.push(key);
    let request = peer.login_request(LoginStage::Security, None);
    peer.send(request.encode(), text::encode(&keys));
    said(&mut peer)
}

fn contains(all: &[u8], part: &str) -> bool {
    all.windows(part.len())
        .any(|piece| piece == part.as_bytes())
}

#[test]
fn send_targets_before_the_proof() {
    for steps in 0..=2 {
        for value in ["All", "", TARGET] {
            let reply = asked(steps, ("SendTargets", value));
            // RFC 7143 §11.13.5: an initiator error of some kind, and no text.
            assert_eq!((reply.len(), reply[36]), (48, 2), "{steps} {value}");
        }
    }
    // A discovery session says no target name of its own; nor does the reply.
    let mut peer = Peer::new();
    let discovery = [FIRST[0], ("SessionType", "Discovery"), FIRST[3]];
    let request = peer.login_request(LoginStage::Security, None);
    peer.send(request.encode(), text::encode(&discovery));
    let reply = said(&mut peer);
    assert_eq!(reply[36], 0);
    assert!(!contains(&reply, "iqn."), "{reply:02x?}");
}

/// Keys of the target's side, and declarations that would change what it says later.
#[test]
fn keys_that_are_not_the_initiators_to_send() {
    for key in [
        ("TargetAddress", "192.0.2.1:3260,1"),
        ("TargetPortalGroupTag", "2"),
        ("TargetAlias", "mine"),
        ("CHAP_N", "ini"),
        ("CHAP_C", "0x00"),
        ("MaxRecvDataSegmentLength", "512"),
        ("MaxConnections", "8"),
    ] {
        let reply = asked(0, key);
        assert_eq!((reply.len(), reply[36]), (48, 2), "{key:?}");
    }
}

/// Every step brings as many unknown keys as a step may have: each reply is bounded, none grows by the one before.
#[test]
fn replies_to_unknown_keys_in_every_step() {
    let mut peer = Peer::new();
    for step in 0..32 {
        let mut keys: Vec<(String, String)> = (0..60)
            .map(|n| (format!("X-{step:029}.{n:031}"), "v".to_owned()))
            .collect();
        if step == 0 {
            keys.extend(FIRST.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        let mut data = text::encode(&keys);
        data.truncate(8192);
        let request = peer.login_request(LoginStage::Security, None);
        peer.send(request.encode(), data);
        let frame = peer.receive();
        assert!(
            frame.data.len() <= 60 * (63 + 15) + 64,
            "{}",
            frame.data.len()
        );
        if LoginResponse::parse(&frame.bhs).unwrap().status != (0, 0) {
            assert!(peer.machine.is_closed());
            return;
        }
    }
    panic!("a login that never says CHAP_A goes on for ever");
}
