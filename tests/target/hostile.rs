//! Peers that mean harm, at the wire. The server says no, or nothing, and serves the others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use iscsi_proto::pdu::{LoginRequest, LoginResponse, LoginStage, NopOut, ScsiCommand};
use iscsi_proto::scsi::Lun;
use iscsi_proto::{Cid, CmdSn, Isid, Itt, StatSn, Ttt};
use itemlift::initiator::{Initiator, InitiatorError, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Place, TestServer, log_in, login, within};

/// Reads what the server still has to say. It must end within `seconds`.
async fn is_closed(mut stream: TcpStream, seconds: u64) {
    // A reset is an end, too.
    let _ = within(seconds, stream.read_to_end(&mut Vec::new())).await;
}

async fn is_alive(server: &TestServer) {
    let bundle = server.grant().await;
    let mut session = log_in(server.connect_plain().await, &bundle).await.unwrap();
    session.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    session.log_out().await.unwrap();
}

fn request(stage: LoginStage, more: bool) -> LoginRequest {
    LoginRequest {
        transit: None,
        more,
        stage,
        version_min: 0,
        isid: Isid([0x80, 0, 0, 0, 0, 9]),
        tsih: 0,
        itt: Itt(1),
        cid: Cid(0),
        cmd_sn: CmdSn(1),
        exp_stat_sn: StatSn(0),
    }
}

#[tokio::test]
async fn what_is_not_iscsi_is_shown_the_door() {
    let server = Place::new().serve().await;
    let openings: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a port scanner of some length\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on, a hello for somebody else entirely",
        &[0xFF; 4096],
        &[0x00; 4096],
        b"SSH-2.0-OpenSSH_9.9 and some more bytes to make a whole header of it\r\n",
    ];
    for opening in openings {
        let mut stream = server.connect_plain().await;
        stream.write_all(opening).await.unwrap();
        is_closed(stream, 5).await;
    }
    is_alive(&server).await;
}

#[tokio::test]
async fn nothing_but_a_login_comes_first() {
    let server = Place::new().serve().await;
    let command = ScsiCommand {
        immediate: false,
        last: true,
        read: true,
        write: false,
        attribute: 1,
        lun: Lun::peripheral(0),
        itt: Itt(1),
        expected_len: 512,
        cmd_sn: CmdSn(1),
        exp_stat_sn: StatSn(0),
        cdb: [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    };
    let nop = NopOut {
        immediate: true,
        lun: Lun::peripheral(0),
        itt: Itt(1),
        ttt: Ttt::RESERVED,
        cmd_sn: CmdSn(1),
        exp_stat_sn: StatSn(0),
    };
    for bhs in [command.encode(), nop.encode()] {
        let mut wire = Wire::new(server.connect_plain().await);
        wire.send(bhs, Bytes::new()).await.unwrap();
        let end = within(5, wire.receive()).await;
        assert!(matches!(end, Err(InitiatorError::Lost(_))), "{end:?}");
    }
    is_alive(&server).await;
}

#[tokio::test]
async fn a_login_may_come_a_byte_at_a_time() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let mut upstream = server.connect_plain().await;
    tokio::spawn(async move {
        let (mut from_us, mut to_us) = tokio::io::split(theirs);
        let (mut from_server, mut to_server) = upstream.split();
        let crumbs = async {
            while let Ok(byte) = from_us.read_u8().await {
                if to_server.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        };
        let answers = tokio::io::copy(&mut from_server, &mut to_us);
        let _ = tokio::join!(crumbs, answers);
    });
    let mut session = within(10, log_in(ours, &bundle)).await.unwrap();
    session.read(Lun::peripheral(0), 0, 8, 4096).await.unwrap();
    session.log_out().await.unwrap();
}

#[tokio::test]
async fn lengths_are_believed_before_the_bytes_are_there() {
    let server = Place::new().serve().await;
    let mut header = request(LoginStage::Security, false).encode();
    // DataSegmentLength: 16 MiB less one byte.
    header[5..8].copy_from_slice(&[0xFF; 3]);
    let mut stream = server.connect_plain().await;
    stream.write_all(&header).await.unwrap();
    is_closed(stream, 2).await;
    is_alive(&server).await;
}

#[tokio::test]
async fn text_without_end_is_refused() {
    let server = Place::new().serve().await;
    // Thousands of keys, each of which would be answered NotUnderstood (CVE-2026-63887).
    let many: String = (0..1000).map(|n| format!("a{n}=b\0")).collect();
    // Longer than a key or a value may be.
    let long = format!("InitiatorName={}\0", "x".repeat(4000));
    let unended = "InitiatorName=iqn.2026-11.test:a".to_owned();
    for text in [many, long, unended] {
        let mut wire = Wire::new(server.connect_plain().await);
        let header = request(LoginStage::Security, false).encode();
        wire.send(header, Bytes::from(text)).await.unwrap();
        refused(&mut wire).await;
    }
    // A chain of continued texts that never comes to its end.
    let mut wire = Wire::new(server.connect_plain().await);
    for _ in 0..64 {
        let header = request(LoginStage::Security, true).encode();
        if wire
            .send(header, Bytes::from(vec![b'a'; 4000]))
            .await
            .is_err()
        {
            break;
        }
        match within(5, wire.receive()).await {
            Ok((bhs, _)) if LoginResponse::parse(&bhs).unwrap().status.0 == 0 => {}
            _ => break,
        }
    }
    let end = within(5, wire.receive()).await;
    assert!(end.is_err(), "{end:?}");
    is_alive(&server).await;
}

async fn refused(wire: &mut Wire<TcpStream>) {
    match within(5, wire.receive()).await {
        Ok((bhs, data)) => {
            assert_eq!(LoginResponse::parse(&bhs).unwrap().status.0, 2);
            assert!(data.len() <= 8192);
            let end = within(5, wire.receive()).await;
            assert!(matches!(end, Err(InitiatorError::Lost(_))), "{end:?}");
        }
        Err(error) => assert!(matches!(error, InitiatorError::Lost(_)), "{error}"),
    }
}

#[tokio::test]
async fn who_takes_nothing_waits_alone() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut greedy = log_in(server.connect_plain().await, &bundle).await.unwrap();
    greedy.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    // 64 MiB asked for, not a byte of it taken.
    let cdb = [0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0];
    for _ in 0..64 {
        greedy
            .submit(Lun::peripheral(0), cdb, 1 << 20)
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut other = login(&bundle);
    other.isid = Isid([0x80, 0, 0, 0, 0, 2]);
    let mut other = Initiator::log_in(server.connect_plain().await, other)
        .await
        .unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        other.read(Lun::peripheral(0), 0, 8, 4096).await.unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    // And when it begins to take, everything comes.
    for _ in 0..64 {
        let answer = within(10, greedy.next_answer()).await.unwrap();
        assert_eq!((answer.status, answer.data.len()), (0, 1 << 20));
    }
}

#[tokio::test]
async fn two_hundred_sessions_end_within_five_seconds_of_a_revoke() {
    let server = Place::new().serve().await;
    let mut bundles = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let bundle = server.grant().await;
        for number in 0..50 {
            let mut login = login(&bundle);
            login.isid = Isid([0x80, 0, 0, 0, 1, number]);
            login.algorithms = vec![chap::Algorithm::Md5];
            let session = Initiator::log_in(server.connect_plain().await, login).await;
            sessions.push(session.unwrap());
        }
        bundles.push(bundle);
    }
    assert_eq!(server.sessions.list().len(), 200);
    let begun = Instant::now();
    for bundle in &bundles {
        server.grants.revoke(&bundle.grant, "test").await.unwrap();
    }
    for session in &mut sessions {
        let end = within(6, session.next_answer()).await.unwrap_err();
        assert!(matches!(end, InitiatorError::AskedToLogOut), "{end}");
    }
    // Nobody logs out; the server does not wait for it.
    while !server.sessions.list().is_empty() {
        assert!(
            begun.elapsed() <= Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
