//! Connections that end at a bad moment: replaced while they read, revoked while they log in, left alone by their peers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::by_hand::{ByHand, LOGIN_STEPS};
use crate::support::{Place, TestServer, content, log_in, within};

/// READ (10) of 64 KiB, eight times; whatever comes of it is right.
async fn busy(peer: &mut ByHand<TcpStream>) {
    for itt in 20..28 {
        peer.read(0, itt, 8 * u32::from(itt), 128).await;
    }
}

/// Takes everything until the end. Data that comes is the disk's.
async fn until_the_end(mut peer: ByHand<TcpStream>) {
    let disk = content(1 << 20);
    while let Some(frame) = peer.receive().await {
        if frame.bhs[0] == 0x25 {
            let offset: [u8; 4] = frame.bhs[40..44].try_into().unwrap();
            let at = usize::from(frame.bhs[19]) * 8 * 512 + u32::from_be_bytes(offset) as usize;
            assert_eq!(frame.data, disk[at..at + frame.data.len()]);
        }
    }
}

/// The session that is left, after those before it had time to go.
async fn one_is_left(server: &TestServer) {
    within(5, async {
        while server.sessions.list().len() != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn replaced_again_and_again_while_commands_run() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut old = JoinSet::new();
    for _ in 0..20 {
        let login = ByHand::log_in(server.connect_plain().await, &bundle, 1);
        let mut peer = within(5, login).await;
        busy(&mut peer).await;
        old.spawn(until_the_end(peer));
    }
    let mut last = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
    within(10, old.join_all()).await;
    one_is_left(&server).await;
    last.read(0, 3, 0, 8).await;
    assert_eq!(within(5, last.receive()).await.unwrap().data, content(4096));
}

/// Eight logins of one initiator at the same moment: each has the session for a while, the last one keeps it.
#[tokio::test]
async fn replaced_by_several_at_once() {
    let server = Place::new().serve().await;
    let bundle = Arc::new(server.grant().await);
    for _ in 0..3 {
        let logged_in = Arc::new(AtomicUsize::new(0));
        let mut logins = JoinSet::new();
        for _ in 0..8 {
            let (stream, bundle) = (server.connect_plain().await, Arc::clone(&bundle));
            let logged_in = Arc::clone(&logged_in);
            logins.spawn(async move {
                let mut session = log_in(stream, &bundle).await.unwrap();
                logged_in.fetch_add(1, Ordering::Relaxed);
                // Held, so that it ends by being replaced and not by leaving.
                let _ = session.next_answer().await;
            });
        }
        within(10, async {
            while logged_in.load(Ordering::Relaxed) < 8 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        one_is_left(&server).await;
        logins.shutdown().await;
    }
}

#[tokio::test]
async fn revoked_at_each_step_of_a_login() {
    let server = Place::new().serve().await;
    for steps in 0..LOGIN_STEPS {
        let bundle = server.grant().await;
        let mut plain = ByHand::new(server.connect_plain().await);
        let mut tls = ByHand::new(server.connect(&bundle).await);
        for step in 0..steps {
            plain.login_step(&bundle, step).await;
            tls.login_step(&bundle, step).await;
        }
        server.grants.revoke(&bundle.grant, "test").await.unwrap();
        // Under TLS the server knows whose connection it is, and does not wait for the next step.
        if steps > 0 {
            // RFC 7143 §11.13.5: 0301h, service unavailable.
            let frame = within(3, tls.receive()).await.unwrap();
            assert_eq!((frame.bhs[0], &frame.bhs[36..38]), (0x23, &[3, 1][..]));
        }
        assert!(within(3, tls.receive()).await.is_none());
        for step in steps..LOGIN_STEPS {
            let request = plain.login_request(&bundle, step);
            if tokio::io::AsyncWriteExt::write_all(&mut plain.stream, &request)
                .await
                .is_err()
            {
                break;
            }
            let Some(answer) = within(5, plain.receive()).await else {
                break;
            };
            if answer.bhs[36] != 0 {
                break;
            }
            assert!(step < 2, "logged in with a revoked grant's secret");
            plain.note_login(step, &answer);
        }
        assert!(server.sessions.list().is_empty());
    }
}

/// Forty logins under way when the grant ends: five seconds later none of them has a session.
#[tokio::test]
async fn revoked_while_many_log_in() {
    let server = Place::new().serve().await;
    let bundle = Arc::new(server.grant().await);
    let mut logins = JoinSet::new();
    for port in 0..40 {
        let (stream, bundle) = (server.connect_plain().await, Arc::clone(&bundle));
        logins.spawn(async move {
            let mut login = crate::support::login(&bundle);
            login.isid = iscsi_proto::Isid([0x80, 0, 0, 0, 0, port]);
            tokio::time::sleep(Duration::from_millis(u64::from(port) * 5)).await;
            let session = itemlift::initiator::Initiator::log_in(stream, login).await;
            if let Ok(mut session) = session {
                let _ = session.next_answer().await;
                // It was asked to log out, and stays.
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.grants.revoke(&bundle.grant, "test").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(
        server.sessions.list().is_empty(),
        "{:?}",
        server.sessions.list()
    );
    logins.shutdown().await;
}

/// Who never takes its data is let go when it has had its time; who takes some of it now and then is not.
#[tokio::test]
async fn who_never_takes_its_data_is_let_go() {
    let mut place = Place::new();
    place.limits.send_stall = Duration::from_millis(1500);
    let disk = std::fs::File::options()
        .write(true)
        .open(place.disk("disk0"));
    disk.unwrap().set_len(32 << 20).unwrap();
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut deaf = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
    let mut slow = ByHand::log_in(server.connect_plain().await, &bundle, 2).await;
    for peer in [&mut deaf, &mut slow] {
        peer.read(0, 3, 0, 32 * 1024).await;
        peer.read(0, 4, 0, 32 * 1024).await;
    }
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let mut taken = 0;
        while taken < 1 << 20 {
            taken += slow.take(64 * 1024).await;
        }
    }
    assert_eq!(server.sessions.list().len(), 1);
    slow.nop(5).await;
    within(5, async {
        while slow.take(64 * 1024).await > 0 && slow.received < 30 << 20 {}
    })
    .await;
    assert_eq!(server.sessions.list()[0].isid, "800000000002");
}
