//! Snapshots that appear and disappear while the server runs.

use std::time::{Duration, Instant};

use itemlift::point::{Catalog, PointRef, ReadError, Wait};

use crate::bed::{Bed, ids};
use crate::oracle::{assert_same, content};

/// A scan sees what was written before it began.
fn rescan(catalog: &Catalog) {
    catalog.rescan();
}

#[test]
fn new_snapshots_appear_and_removed_ones_go() {
    let bed = Bed::new(2);
    let catalog = bed.catalog();
    assert_eq!(ids(&catalog), [""; 0]);
    assert_eq!(catalog.problems(), []);
    let disk = content(2 << 20, 1);
    bed.write("disk.raw", &disk);
    let first = bed.backup("02:00:00", &[]);
    rescan(&catalog);
    assert_eq!(ids(&catalog), [format!("2026-11-20T02-00-00Z-{first}")]);
    let other = content(2 << 20, 2);
    bed.write("disk.raw", &other);
    bed.backup("03:00:00", &[]);
    rescan(&catalog);
    assert_eq!(ids(&catalog).len(), 2);
    // Its blobs are in an index file that was not there when the repository was opened.
    let point = catalog.find("kvm1", &PointRef::Latest).unwrap();
    assert_same(
        &catalog.open_disks(&point).unwrap()[0],
        &other,
        "the new one",
    );

    bed.restic(&["forget", &first]);
    rescan(&catalog);
    assert_eq!(ids(&catalog), std::slice::from_ref(&point.id));
    let old = format!("2026-11-20T02-00-00Z-{first}");
    assert!(catalog.find("kvm1", &PointRef::Id(old)).is_err());
}

#[test]
fn a_snapshot_that_is_pruned_while_it_is_read_ends_in_an_error() {
    let bed = Bed::new(2);
    let disk = content(16 << 20, 1);
    bed.write("disk.raw", &disk);
    let first = bed.backup("02:00:00", &[]);
    let open = bed.disk();
    let mut buf = vec![0; 4096];
    open.read_at(0, &mut buf, Wait::Allowed).unwrap();
    assert_eq!(buf, disk[..4096]);

    // Half of it stays in use by another snapshot: its packs are written anew.
    bed.write("disk.raw", &disk[..8 << 20]);
    bed.backup("03:00:00", &[]);
    bed.restic(&["forget", &first, "--prune", "--max-unused", "0"]);

    let begun = Instant::now();
    let mut lost = 0;
    for (number, right) in disk.chunks(1 << 20).enumerate() {
        let mut buf = vec![0; 1 << 20];
        let offset = (number as u64) << 20;
        match open.read_at(offset, &mut buf, Wait::Allowed) {
            Ok(()) => assert!(buf == right, "wrong data at {offset}"),
            Err(ReadError::Damaged {
                offset: at, damage, ..
            }) => {
                assert!((offset..offset + (1 << 20)).contains(&at));
                let reason = damage.to_string();
                assert!(reason.contains("forget and prune"), "{reason}");
                lost += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    // The blobs that are still there were found where pruning has moved them.
    assert!((6..=9).contains(&lost), "{lost} of 16");
}
