//! The one login that is right: names, secrets, our challenge and what proves the secret to it. The captured
//! dialogues in `tests/vectors/` were made with these.

use std::sync::{Arc, OnceLock};

use chap::{Credentials, Nonce, Secret};
use iscsi_proto::blocks::{BlockSize, Geometry};
use iscsi_proto::pdu::{LoginRequest, LoginStage};
use iscsi_proto::scsi::LogicalUnit;
use iscsi_proto::{Access, Cid, CmdSn, Isid, Itt, StatSn, Target, text, transmit};

use crate::disk;

/// The target.
pub const TARGET: &str = "iqn.2026-11.io.itemlift:g1";
/// Another user's target.
pub const OTHER_TARGET: &str = "iqn.2026-11.io.itemlift:g2";
/// The initiator's name.
pub const INITIATOR: &str = "iqn.1993-08.org.debian:01:abc";
/// The initiator's challenge.
pub const CHALLENGE: &str = "0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
/// The responses of `ini` to [`nonce`] with SHA3-256, SHA-256, SHA-1 and MD5, by Python's hashlib.
pub const PROOFS: [&str; 4] = [
    "0x6834a14a7e6786f71b5eb8dea1a4f010ac56cece0caceb02708475f6b94aec46",
    "0x38c7335b34bdad83af28066b25785134202560a673e9e15d9691c481a5be499a",
    "0x0466abf39d09d31a8584428a3eceb9381ebe2706",
    "0x72cb570c499c09e930169039c15e94c6",
];
/// The response of `eve`, whose target is [`OTHER_TARGET`], with MD5.
pub const EVES_PROOF: &str = "0xe2cab26a8481724346af709a97c5e539";

/// Our challenge: number 42, bytes 0 to 31.
pub fn nonce() -> Nonce {
    Nonce { identifier: 42, challenge: std::array::from_fn(|at| at as u8) }
}

/// The target of [`TARGET`] or another name, with the disks of [`disk`].
pub fn target(name: &str) -> Arc<Target> {
    let units = (0..).zip(disk::SIZES).map(|(number, (bytes, block))| {
        let size = BlockSize::from_bytes(block).expect("a block size");
        let geometry = Geometry::from_bytes(bytes, size).expect("a disk");
        LogicalUnit::new(number, geometry, "web", 0x1234 + u64::from(number))
    });
    Arc::new(Target::new(name, units.collect()).expect("units"))
}

/// What the user has, if there is one.
pub fn access(user: &str, target: &Arc<Target>) -> Option<Access> {
    let (target, secret) = match user {
        "ini" => (Arc::clone(target), "initiatorsecret1"),
        "eve" => (self::target(OTHER_TARGET), "another-secret-3"),
        _ => return None,
    };
    let credentials = |user: &str, secret: &str| {
        let secret = Secret::new(secret).expect("long enough");
        Credentials { user: user.into(), secret }
    };
    let target_credentials = credentials("tgt", "target-secret-22");
    Some(Access { target, initiator: credentials(user, secret), target_credentials })
}

/// A login request as it goes over the wire. `stages`: T, C, CSG and NSG as in byte 1 of the header.
pub fn login_request(stages: u8, keys: &[u8]) -> Vec<u8> {
    let request = LoginRequest {
        transit: None,
        more: false,
        stage: LoginStage::Security,
        version_min: 0,
        isid: Isid([0x40, 0, 1, 0x37, 0, 1]),
        tsih: 0,
        itt: Itt(1),
        cid: Cid(5),
        cmd_sn: CmdSn(1),
        exp_stat_sn: StatSn(0),
    };
    let mut bhs = request.encode();
    bhs[1] = stages;
    let pdu = transmit(bhs, keys.to_vec().into(), iscsi_proto::Digests::default());
    [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat()
}

/// Stage byte and keys of each step of a login with MD5.
pub fn right_steps() -> &'static [(u8, Vec<u8>); 4] {
    static STEPS: OnceLock<[(u8, Vec<u8>); 4]> = OnceLock::new();
    STEPS.get_or_init(|| {
        let first = [
            ("InitiatorName", INITIATOR),
            ("SessionType", "Normal"),
            ("TargetName", TARGET),
            ("AuthMethod", "CHAP,None"),
        ];
        let proof = [("CHAP_N", "ini"), ("CHAP_R", PROOFS[3]), ("CHAP_I", "7"), ("CHAP_C", CHALLENGE)];
        let algorithm = [("CHAP_A", "5")];
        [
            (0x00, text::encode(&first).to_vec()),
            (0x00, text::encode(&algorithm).to_vec()),
            (0x81, text::encode(&proof).to_vec()),
            (0x87, Vec::new()),
        ]
    })
}
