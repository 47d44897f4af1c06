//! A scripted initiator logs in, or tries to.

use chap::Algorithm;
use iscsi_proto::pdu::{LoginResponse, LoginStage};
use iscsi_proto::{Cid, CmdSn, Effect, Itt, LoginRefusal, StatSn, text};

use crate::peer::{INITIATOR, Peer, TARGET};

use crate::peer::{initiator_credentials, target_credentials};
use chap::{Nonce, Proposal};
use iscsi_proto::pdu::{self, LoginRequest};
use iscsi_proto::{Digests, Isid};

impl Peer {
    pub(crate) fn login_request(
        &self,
        stage: LoginStage,
        transit: Option<LoginStage>,
    ) -> LoginRequest {
        LoginRequest {
            transit,
            more: false,
            stage,
            version_min: 0,
            isid: Isid([0x40, 0, 1, 0x37, 0, self.port]),
            tsih: 0,
            itt: Itt(1),
            cid: Cid(5),
            cmd_sn: CmdSn(1),
            exp_stat_sn: StatSn(0),
        }
    }

    /// One step of a login; the target has to go along with it.
    pub(crate) fn login_step(
        &mut self,
        stage: LoginStage,
        transit: Option<LoginStage>,
        keys: &[(&str, &str)],
    ) -> Vec<text::Pair> {
        self.send(
            self.login_request(stage, transit).encode(),
            text::encode(keys),
        );
        let frame = self.receive();
        let response = LoginResponse::parse(&frame.bhs).unwrap();
        assert_eq!(response.status, (0, 0), "{:?}", self.error);
        assert_eq!(response.transit, transit);
        text::parse(&frame.data).unwrap()
    }

    /// The security stage with mutual CHAP. Returns what the target proved itself with.
    pub(crate) fn authenticate(&mut self, algorithm: Algorithm, first: &[(&str, &str)]) {
        let nonce = Nonce {
            identifier: 9,
            challenge: [0xa5; 32],
        };
        let (own, theirs) = (initiator_credentials(), target_credentials());
        let proposal = Proposal::new(vec![algorithm], nonce, own, theirs).unwrap();
        let security = LoginStage::Security;
        let keys = [first, &[("AuthMethod", "CHAP,None")]].concat();
        let answer = self.login_step(security, None, &keys);
        assert!(answer.contains(&("AuthMethod".to_owned(), "CHAP".to_owned())));
        let answer = self.login_step(security, None, &borrowed(&proposal.offer()));
        let (responded, keys) = proposal.respond(&pairs(&answer)).unwrap();
        let next = Some(LoginStage::Operational);
        let answer = self.login_step(security, next, &borrowed(&keys));
        responded.verify(&pairs(&answer)).unwrap();
    }

    /// A whole login to a normal session. Returns the answers of the operational stage.
    pub(crate) fn login(
        &mut self,
        algorithm: Algorithm,
        operational: &[(&str, &str)],
    ) -> Vec<text::Pair> {
        self.authenticate(
            algorithm,
            &[
                ("InitiatorName", INITIATOR),
                ("SessionType", "Normal"),
                ("TargetName", TARGET),
            ],
        );
        let full = Some(LoginStage::FullFeature);
        let answers = self.login_step(LoginStage::Operational, full, operational);
        let chosen = |key| answers.contains(&(String::from(key), "CRC32C".to_owned()));
        self.digests = Digests {
            header: chosen("HeaderDigest"),
            data: chosen("DataDigest"),
        };
        self.framing.set_digests(self.digests);
        answers
    }

    /// A discovery session that names no target, unless `first` does.
    pub(crate) fn discovering(first: &[(&str, &str)]) -> Self {
        let mut peer = Self::new();
        let names = [("InitiatorName", INITIATOR), ("SessionType", "Discovery")];
        peer.authenticate(Algorithm::Md5, &[&names, first].concat());
        let full = Some(LoginStage::FullFeature);
        peer.login_step(LoginStage::Operational, full, &[]);
        peer
    }

    /// A session that is ready for commands: the power-on unit attentions are taken.
    pub(crate) fn ready(operational: &[(&str, &str)]) -> Self {
        let mut peer = Self::new();
        peer.login(Algorithm::Md5, operational);
        for lun in 0..2 {
            peer.command(lun, &[0; 6], None, 0);
            let response = pdu::ScsiResponse::parse(&peer.receive().bhs).unwrap();
            assert_eq!(response.status, 2, "power on");
        }
        peer
    }
}

pub(crate) fn pairs(list: &[text::Pair]) -> Vec<(&str, &str)> {
    let chap = list.iter().filter(|(key, _)| key.starts_with("CHAP_"));
    chap.map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

pub(crate) fn borrowed<'a>(list: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    list.iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect()
}

pub(crate) const FIRST: [(&str, &str); 4] = [
    ("InitiatorName", INITIATOR),
    ("SessionType", "Normal"),
    ("TargetName", TARGET),
    ("AuthMethod", "CHAP,None"),
];

/// The response to the target's challenge (id 42, bytes 00 to 1f) with `initiatorsecret1`, by hashlib.
pub(crate) const CHAP_R: &str = "0x72cb570c499c09e930169039c15e94c6";

pub(crate) fn transmitted(peer: &mut Peer) -> Vec<u8> {
    let pdu = peer.machine.poll_transmit().unwrap();
    [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat()
}

/// The target's status, the reason for the log, and that nothing more is said.
pub(crate) fn refused(peer: &mut Peer, status: (u8, u8), reason: LoginRefusal) {
    let response = LoginResponse::parse(&peer.receive().bhs).unwrap();
    assert_eq!(response.status, status, "{reason:?}");
    assert!(
        peer.others.contains(&Effect::LoginRefused(reason)),
        "{:?}",
        peer.others
    );
    assert!(peer.try_receive().is_none());
    assert!(peer.machine.is_closed() && !peer.machine.wants_input());
}

/// A login whose first request is refused.
pub(crate) fn first_refused(keys: &[(&str, &str)], status: (u8, u8), reason: LoginRefusal) {
    let mut peer = Peer::new();
    peer.send(
        peer.login_request(LoginStage::Security, None).encode(),
        text::encode(keys),
    );
    refused(&mut peer, status, reason);
}
