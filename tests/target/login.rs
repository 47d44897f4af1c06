//! Logins that must succeed, and those that must not.

use chap::{Algorithm, Error as ChapError};
use iscsi_proto::pdu::{LoginRequest, LoginResponse, LoginStage};
use iscsi_proto::{Cid, CmdSn, Digests, Isid, Itt, StatSn};
use itemlift::initiator::{Initiator, InitiatorError, LoginFailure};
use tokio::net::TcpStream;

use crate::support::{Place, credentials, log_in, login};

/// RFC 7143 §11.13.5: "Authentication failure".
const AUTHENTICATION: (u8, u8) = (2, 1);

fn refusal(error: &InitiatorError) -> Option<(u8, u8)> {
    match error {
        InitiatorError::Login(LoginFailure::Refused(class, detail)) => Some((*class, *detail)),
        _ => None,
    }
}

#[tokio::test]
async fn every_algorithm_and_digest_over_tls_and_plain() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    for algorithm in Algorithm::ALL {
        for wanted in [false, true] {
            let mut login = login(&bundle);
            login.algorithms = vec![algorithm];
            login.digests = Digests {
                header: wanted,
                data: wanted,
            };
            let plain = Initiator::log_in(server.connect_plain().await, login.clone()).await;
            let mut plain = plain.unwrap();
            assert_eq!(plain.luns().await.unwrap().len(), 1);
            plain.log_out().await.unwrap();
            let tls = Initiator::log_in(server.connect(&bundle).await, login).await;
            let mut tls = tls.unwrap();
            assert_eq!(tls.ping(b"are you there?").await.unwrap(), "are you there?");
            tls.log_out().await.unwrap();
        }
    }
    let audit = server.audit();
    let logins = audit.iter().filter(|line| line["event"] == "login");
    let told: Vec<_> = logins.map(|line| line["chap"].as_str().unwrap()).collect();
    let strongest_first = ["SHA3-256", "SHA-256", "SHA-1", "MD5"];
    assert_eq!(told, strongest_first.map(|name| [name; 4]).concat());
}

#[tokio::test]
async fn a_wrong_secret_is_found_on_either_side() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut wrong = login(&bundle);
    wrong.ours = credentials(&bundle.initiator.user, "not the secret at all");
    let error = Initiator::log_in(server.connect_plain().await, wrong)
        .await
        .unwrap_err();
    assert_eq!(refusal(&error), Some(AUTHENTICATION), "{error}");
    let mut wrong = login(&bundle);
    wrong.theirs = credentials(&bundle.target.user, "not the secret at all");
    let error = Initiator::log_in(server.connect_plain().await, wrong)
        .await
        .unwrap_err();
    let InitiatorError::Login(LoginFailure::Chap(ChapError::WrongResponse)) = error else {
        panic!("{error}");
    };
    let audit = server.audit();
    assert!(
        audit.iter().any(|line| line["event"] == "refused"),
        "{audit:?}"
    );
}

#[tokio::test]
async fn unknown_users_targets_and_wrong_secrets_look_alike() {
    let server = Place::new().serve().await;
    let (bundle, other) = (server.grant().await, server.grant().await);
    let mut attempts = Vec::new();
    let mut unknown_user = login(&bundle);
    unknown_user.ours.user = "somebody".into();
    attempts.push(unknown_user);
    let mut unknown_target = login(&bundle);
    unknown_target.target = Some("iqn.2026-11.io.itemlift:000000000000".into());
    attempts.push(unknown_target);
    let mut others_target = login(&bundle);
    others_target.target = Some(other.iqn.clone());
    attempts.push(others_target);
    let mut wrong_secret = login(&bundle);
    wrong_secret.ours = credentials(&bundle.initiator.user, "not the secret at all");
    attempts.push(wrong_secret);
    for attempt in attempts {
        let target = attempt.target.clone();
        let error = Initiator::log_in(server.connect_plain().await, attempt)
            .await
            .unwrap_err();
        assert_eq!(refusal(&error), Some(AUTHENTICATION), "{target:?}: {error}");
    }
}

#[tokio::test]
async fn the_certificate_and_the_chap_name_are_of_one_grant() {
    let server = Place::new().serve().await;
    let (mine, other) = (server.grant().await, server.grant().await);
    let error = log_in(server.connect(&mine).await, &other)
        .await
        .unwrap_err();
    assert_eq!(refusal(&error), Some(AUTHENTICATION), "{error}");
    log_in(server.connect(&other).await, &other).await.unwrap();
}

#[tokio::test]
async fn one_way_chap_is_refused() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let login = login(&bundle);
    let proposal =
        chap::Proposal::new(login.algorithms, login.nonce, login.ours, login.theirs).unwrap();
    let mut peer = Peer::new(server.connect_plain().await);
    let first = [
        ("InitiatorName", login.initiator.as_str()),
        ("AuthMethod", "CHAP"),
        ("SessionType", "Normal"),
        ("TargetName", &bundle.iqn),
    ];
    peer.step(None, &first).await;
    let challenge = peer.step(None, &owned(&proposal.offer())).await.1;
    let challenge: Vec<_> = challenge
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let (_, response) = proposal.respond(&challenge).unwrap();
    // Everything is right, but the target is not asked to prove itself.
    let one_way: Vec<_> = owned(&response)
        .into_iter()
        .filter(|(key, _)| matches!(*key, "CHAP_N" | "CHAP_R"))
        .collect();
    let (status, keys) = peer.step(Some(LoginStage::Operational), &one_way).await;
    assert_eq!(status, AUTHENTICATION);
    assert_eq!(keys, []);
}

#[tokio::test]
async fn discovery_lists_the_callers_own_target_alone() {
    let server = Place::new().serve().await;
    let (bundle, _other) = (server.grant().await, server.grant().await);
    let mut login = login(&bundle);
    login.target = None;
    let mut session = Initiator::log_in(server.connect(&bundle).await, login)
        .await
        .unwrap();
    let keys = session.send_targets().await.unwrap();
    assert_eq!(keys, [("TargetName".to_owned(), bundle.iqn.clone())]);
    session.log_out().await.unwrap();
}

fn owned<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    pairs
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect()
}

/// A peer that says in a login what the test wants.
struct Peer {
    wire: itemlift::initiator::Wire<TcpStream>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        Self {
            wire: itemlift::initiator::Wire::new(stream),
        }
    }

    async fn step(
        &mut self,
        transit: Option<LoginStage>,
        keys: &[(&str, &str)],
    ) -> ((u8, u8), Vec<(String, String)>) {
        let request = LoginRequest {
            transit,
            more: false,
            stage: LoginStage::Security,
            version_min: 0,
            isid: Isid([0x80, 0, 0, 0, 0, 9]),
            tsih: 0,
            itt: Itt(1),
            cid: Cid(0),
            cmd_sn: CmdSn(1),
            exp_stat_sn: StatSn(0),
        };
        let text = iscsi_proto::text::encode(keys);
        self.wire.send(request.encode(), text).await.unwrap();
        let (bhs, data) = self.wire.receive().await.unwrap();
        let response = LoginResponse::parse(&bhs).unwrap();
        (response.status, iscsi_proto::text::parse(&data).unwrap())
    }
}
