//! What is read is what the disk holds, or an error.

use iscsi_proto::scsi::Lun;
use itemlift::initiator::{Capacity, InitiatorError};

use crate::support::{DISK, Place, content, log_in};

#[tokio::test]
async fn every_byte_is_the_disks() {
    let place = Place::new();
    std::fs::write(place.disk("disk1"), vec![0xA5; 512]).unwrap();
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let luns = session.luns().await.unwrap();
    assert_eq!(luns, [Lun::peripheral(0), Lun::peripheral(1)]);
    let capacity = session.capacity(luns[0]).await.unwrap();
    assert_eq!(
        capacity,
        Capacity {
            blocks: DISK as u64 / 512,
            block_size: 512
        }
    );
    let mut read = Vec::new();
    session
        .read_all(luns[0], capacity, |piece| read.extend_from_slice(piece))
        .await
        .unwrap();
    assert_eq!(read, content(DISK));
    let second = session.read(luns[1], 0, 1, 512).await.unwrap();
    assert_eq!(second, vec![0xA5; 512]);
    session.log_out().await.unwrap();
    let audit = server.audit();
    let closed = audit.iter().find(|line| line["event"] == "closed").unwrap();
    assert_eq!(closed["bytes_read"], DISK as u64 + 512);
    assert_eq!(closed["grant"], bundle.grant.as_str());
}

#[tokio::test]
async fn a_truncated_image_is_a_medium_error_and_no_more() {
    let place = Place::new();
    std::fs::write(place.disk("disk1"), content(4096)).unwrap();
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let lun = Lun::peripheral(0);
    assert_eq!(session.read(lun, 0, 8, 4096).await.unwrap(), content(4096));
    let image = std::fs::OpenOptions::new()
        .write(true)
        .open(place.disk("disk0"))
        .unwrap();
    image.set_len(64 * 1024).unwrap();
    let error = session.read(lun, 1024, 8, 4096).await.unwrap_err();
    let InitiatorError::Status {
        status: 2,
        sense: Some(sense),
    } = error
    else {
        panic!("{error}");
    };
    // MEDIUM ERROR, UNRECOVERED READ ERROR, at the block that was asked for.
    assert_eq!((sense.key, sense.asc, sense.ascq), (3, 0x11, 0));
    assert_eq!(sense.information, Some(1024));
    // On that command alone: the session and the other disk live.
    assert_eq!(session.ping(b"still there").await.unwrap(), "still there");
    let other = session.read(Lun::peripheral(1), 0, 8, 4096).await.unwrap();
    assert_eq!(other, content(4096));
    session.log_out().await.unwrap();
    log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_disk_that_is_not_what_was_granted_is_not_read() {
    let place = Place::new();
    let server = place.serve().await;
    let bundle = server.grant().await;
    std::fs::write(place.disk("disk0"), content(2 * DISK)).unwrap();
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let lun = Lun::peripheral(0);
    assert_eq!(
        session.capacity(lun).await.unwrap().blocks,
        DISK as u64 / 512
    );
    let error = session.read(lun, 0, 8, 4096).await.unwrap_err();
    assert!(
        matches!(error, InitiatorError::Status { status: 2, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_source_that_is_gone_is_a_medium_error() {
    let place = Place::new();
    let server = place.serve().await;
    let bundle = server.grant().await;
    std::fs::remove_file(place.disk("disk0")).unwrap();
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let error = session
        .read(Lun::peripheral(0), 0, 8, 4096)
        .await
        .unwrap_err();
    let InitiatorError::Status {
        sense: Some(sense), ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((sense.key, sense.asc), (3, 0x11));
}

#[tokio::test]
async fn a_disk_that_is_gone_leaves_the_others_alone() {
    let place = Place::new();
    std::fs::write(place.disk("disk1"), content(4096)).unwrap();
    std::fs::write(place.disk("disk2"), content(8192)).unwrap();
    let server = place.serve().await;
    let bundle = server.grant().await;
    std::fs::remove_file(place.disk("disk0")).unwrap();
    // Not an image of a whole number of sectors any more.
    std::fs::write(place.disk("disk1"), b"short").unwrap();
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    for bad in [0, 1] {
        let error = session
            .read(Lun::peripheral(bad), 0, 8, 4096)
            .await
            .unwrap_err();
        assert!(
            matches!(error, InitiatorError::Status { status: 2, .. }),
            "{error}"
        );
    }
    let good = session.read(Lun::peripheral(2), 0, 16, 8192).await.unwrap();
    assert_eq!(good, content(8192));
}

#[tokio::test]
async fn what_is_not_in_memory_is_read_all_the_same() {
    let place = Place::new();
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let lun = Lun::peripheral(0);
    let capacity = session.capacity(lun).await.unwrap();
    for _ in 0..3 {
        let image = std::fs::File::open(place.disk("disk0")).unwrap();
        image.sync_all().unwrap();
        // Out of the page cache, as far as the kernel follows the advice.
        rustix::fs::fadvise(&image, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let mut read = Vec::new();
        session
            .read_all(lun, capacity, |piece| read.extend_from_slice(piece))
            .await
            .unwrap();
        assert_eq!(read, content(DISK));
    }
}
