//! A repository behind a REST server that does not always answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use itemlift::point::{Catalog, Disk, PointRef, ReadError, Wait};

use crate::bed::{Bed, config, open};
use crate::oracle::{assert_same, content};
use crate::rest_server::{Fault, RestServer};

/// The last 4 KiB of the disk: in a blob that opening it has no need of.
const LAST: u64 = (12 << 20) - 4096;

struct Remote {
    bed: Bed,
    server: RestServer,
    catalog: Catalog,
    disk: Arc<Disk>,
    right: Vec<u8>,
}

fn remote(bytes: usize) -> Remote {
    let bed = Bed::new(2);
    let right = content(bytes, 1);
    bed.write("disk.raw", &right);
    bed.backup("02:00:00", &[]);
    let server = RestServer::new(&bed.repository());
    let source = config(&format!(
        "repository = {:?}\npassword_file = {:?}",
        server.url(),
        bed.password_file()
    ));
    let catalog = open(source);
    let point = catalog.find("kvm1", &PointRef::Latest).unwrap();
    let disk = catalog.open_disks(&point).unwrap().remove(0);
    Remote {
        bed,
        server,
        catalog,
        disk,
        right,
    }
}

#[test]
fn a_disk_is_what_restic_says_and_nothing_but_reads_are_sent() {
    let remote = remote(6 << 20);
    assert_same(&remote.disk, &remote.bed.dump("latest", "disk.raw"), "rest");
    assert!(remote.disk.gains_by_reading_ahead(), "it comes from afar");
    let requests = remote.server.requests();
    assert!(
        requests
            .iter()
            .any(|request| request.starts_with("GET /repository/data/"))
    );
    let others = requests
        .iter()
        .filter(|request| !request.starts_with("GET "));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
    assert!(!requests.iter().any(|request| request.contains("/locks/")));
}

#[test]
fn what_passes_is_tried_again() {
    for faults in [
        vec![Fault::Busy, Fault::Break],
        // Wrong in another way each time.
        vec![Fault::Flip, Fault::Half, Fault::NoRange],
    ] {
        let remote = remote(12 << 20);
        remote.server.fail(&faults);
        let mut buf = vec![0; 4096];
        remote.disk.read_at(LAST, &mut buf, Wait::Allowed).unwrap();
        assert!(buf == remote.right[LAST as usize..], "{faults:?}");
        assert!(remote.server.has_failed(), "{faults:?}");
    }
}

#[test]
fn what_is_wrong_in_the_same_way_again_is_damaged_or_short() {
    let remote = remote(12 << 20);
    for (fault, word) in [(Fault::Flip, "is damaged"), (Fault::Half, "is shorter")] {
        remote.server.fail(&[fault; 8]);
        remote.server.requests();
        let mut buf = vec![0; 4096];
        let outcome = remote.disk.read_at(LAST, &mut buf, Wait::Allowed);
        let told = outcome.unwrap_err().to_string();
        assert!(told.contains(word), "{told}");
        let asked = remote.server.requests();
        assert_eq!(asked.len(), 2, "{asked:?}");
    }
}

#[test]
fn what_does_not_pass_ends_in_an_error_within_a_bound() {
    let remote = remote(12 << 20);
    let mut buf = vec![0; 4096];
    let mut read = |faults: &[Fault]| {
        remote.server.fail(faults);
        let begun = Instant::now();
        let outcome = remote.disk.read_at(LAST, &mut buf, Wait::Allowed);
        // An initiator waits 30 s.
        assert!(
            begun.elapsed() < Duration::from_secs(28),
            "{:?}",
            begun.elapsed()
        );
        match outcome {
            Err(ReadError::Damaged {
                offset: LAST,
                damage,
                ..
            }) => damage.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let told = read(&[Fault::Busy; 8]);
    assert!(told.contains("503") && told.contains("4 tries"), "{told}");
    // Looked for again with a fresh index, and not found.
    let told = read(&[Fault::Missing; 8]);
    assert!(told.contains("does not exist"), "{told}");
    let told = read(&[Fault::Silent(Duration::from_secs(60)); 8]);
    assert!(
        told.contains("in time") || told.contains("took longer"),
        "{told}"
    );
    // It is as good as before when the server is.
    remote.server.fail(&[]);
    remote.disk.read_at(LAST, &mut buf, Wait::Allowed).unwrap();
    assert!(buf == remote.right[LAST as usize..]);
    assert_eq!(remote.catalog.problems(), []);
}

#[test]
fn a_disk_is_not_taken_for_damaged_while_the_server_is_away() {
    let bed = Bed::new(2);
    bed.write("a.raw", content(64 << 10, 1));
    bed.write("b.raw", content(64 << 10, 2));
    bed.backup("02:00:00", &["--tag", "disk0=a.raw,disk1=b.raw"]);
    let server = RestServer::new(&bed.repository());
    let catalog = open(config(&format!(
        "repository = {:?}\npassword_file = {:?}",
        server.url(),
        bed.password_file()
    )));
    let point = catalog.find("kvm1", &PointRef::Latest).unwrap();
    // It is back for the second disk.
    server.fail(&[Fault::Busy; 4]);
    let refused = catalog.open_luns(&point).unwrap_err().to_string();
    assert!(refused.contains("503"), "{refused}");
    let luns = catalog.open_luns(&point).unwrap();
    assert!(luns.iter().all(|lun| lun.disk.is_ok()));
}
