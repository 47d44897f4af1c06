//! Memory for read data that all connections share.

use std::time::Duration;

use iscsi_proto::scsi::Lun;
use itemlift::initiator::Initiator;
use tokio::time::sleep;

use crate::support::{DISK, Place, content, log_in, login, within};

/// READ (10) of 2,048 blocks of 512 bytes.
const READ_A_MIB: [u8; 16] = [0x28, 0, 0, 0, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test]
async fn with_nothing_to_lend_reads_go_on_piece_by_piece() {
    let mut place = Place::new();
    place.limits.in_flight_bytes = 0;
    let server = place.serve().await;
    let bundle = server.grant().await;
    for tls in [false, true] {
        let whole = content(DISK);
        let read = async {
            let bytes = if tls {
                let mut session = log_in(server.connect(&bundle).await, &bundle)
                    .await
                    .unwrap();
                session.read(Lun::peripheral(0), 0, 2056, 2056 * 512).await
            } else {
                let mut session = log_in(server.connect_plain().await, &bundle).await.unwrap();
                session.read(Lun::peripheral(0), 0, 2056, 2056 * 512).await
            };
            assert!(bytes.unwrap() == whole);
        };
        within(20, read).await;
    }
}

#[tokio::test]
async fn slow_readers_do_not_take_everything() {
    let mut place = Place::new();
    // Room for one connection's full budget, were it not shared.
    place.limits.in_flight_bytes = 4 << 20;
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut slow = Vec::new();
    for number in 0..8 {
        let mut who = login(&bundle);
        who.isid.0[5] = number;
        let stream = server.connect_plain().await;
        let mut session = Initiator::log_in(stream, who).await.unwrap();
        // The first command of a session meets a unit attention.
        session.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
        for _ in 0..16 {
            session
                .submit(Lun::peripheral(0), READ_A_MIB, 1 << 20)
                .await
                .unwrap();
        }
        slow.push(session);
    }
    sleep(Duration::from_millis(300)).await;
    let mut who = login(&bundle);
    who.isid.0[5] = 99;
    let mut quick = Initiator::log_in(server.connect(&bundle).await, who)
        .await
        .unwrap();
    let read = quick.read(Lun::peripheral(0), 0, 2048, 1 << 20);
    assert!(within(10, read).await.unwrap() == content(DISK)[..1 << 20]);
    // And those who were slow get all of theirs.
    for session in &mut slow {
        for _ in 0..16 {
            let answer = within(20, session.next_answer()).await.unwrap();
            assert!(answer.status == 0 && answer.data == content(DISK)[..1 << 20]);
        }
    }
}
