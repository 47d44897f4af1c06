//! States that qcow2 images keep inside themselves are recovery points of their own.

use std::thread::sleep;
use std::time::Duration;

use itemlift::point::{Catalog, PointRef};

use crate::source::{POINT, Source, VM, assert_same, names, qemu_img, qemu_io};

/// IDs of the points, newest first.
fn ids(catalog: &Catalog) -> Vec<String> {
    let points = catalog.list(&Default::default());
    points.iter().map(|point| point.id.clone()).collect()
}

/// Takes a snapshot of each disk, in a second of its own.
fn snapshot(source: &Source, name: &str, disks: &[&str]) {
    sleep(Duration::from_millis(1100));
    for disk in disks {
        qemu_img(source, &format!("snapshot -c {name} {disk}"));
    }
}

#[test]
fn one_point_for_the_states_of_one_name() {
    let source = Source::new();
    for (disk, byte) in [("a.qcow2", 1), ("b.qcow2", 2)] {
        qemu_img(&source, &format!("create -q -f qcow2 {disk} 1M"));
        qemu_io(&source, disk, &[&format!("write -P {byte} 0 1M")]);
    }
    source.write("c.raw", vec![9; 1 << 20]);
    snapshot(&source, "before", &["a.qcow2", "b.qcow2"]);
    qemu_io(&source, "a.qcow2", &["write -P 3 0 1M"]);
    snapshot(&source, "alone", &["a.qcow2"]);
    qemu_io(&source, "a.qcow2", &["write -P 4 0 1M"]);

    let catalog = source.catalog();
    let ids = ids(&catalog);
    assert_eq!(ids.len(), 3, "{ids:?}");
    let current = catalog.find(VM, &PointRef::from(POINT)).unwrap();
    assert_eq!(names(&current), ["a.qcow2", "b.qcow2", "c.raw"]);
    let mut kept: Vec<&String> = ids.iter().filter(|id| *id != POINT).collect();
    kept.sort();
    assert!(
        kept.iter().all(|id| id.starts_with(&format!("{POINT}@20"))),
        "{ids:?}"
    );
    let find = |id: &str| catalog.find(VM, &PointRef::from(id)).unwrap();
    let (before, alone) = (find(kept[0]), find(kept[1]));
    assert!(before.time < alone.time && before.id.ends_with('Z'));
    assert_eq!(
        (names(&before), names(&alone)),
        (vec!["a.qcow2", "b.qcow2"], vec!["a.qcow2"])
    );
    let left_out = |point: &itemlift::point::RecoveryPoint| {
        let reason = "its image keeps no snapshot of this name";
        point
            .ignored
            .iter()
            .filter(|ignored| ignored.reason == reason)
            .count()
    };
    assert_eq!((left_out(&before), left_out(&alone)), (1, 2));
    for (point, bytes) in [
        (&before, &[1_u8, 2][..]),
        (&alone, &[3]),
        (&current, &[4, 2, 9]),
    ] {
        let disks = catalog.open_disks(point).unwrap();
        assert_eq!(disks.len(), bytes.len());
        for (disk, byte) in disks.iter().zip(bytes) {
            assert_same(disk, &vec![*byte; 1 << 20], &point.id);
        }
        let one = catalog.open_disk(point, "a.qcow2").unwrap();
        assert_same(&one, &vec![bytes[0]; 1 << 20], "by its name");
    }
}

/// No folder's time tells of it: the image itself is looked at.
#[test]
fn a_new_state_is_seen_and_one_that_is_gone_is_not_listed() {
    let source = Source::new();
    qemu_img(&source, "create -q -f qcow2 a.qcow2 1M");
    snapshot(&source, "first", &["a.qcow2"]);
    // Long enough for everything to be relied on.
    sleep(Duration::from_secs(5));
    let catalog = source.catalog();
    catalog.rescan();
    assert_eq!(ids(&catalog).len(), 2);
    snapshot(&source, "second", &["a.qcow2"]);
    catalog.rescan();
    let with_second = ids(&catalog);
    assert_eq!(with_second.len(), 3);
    let point = catalog
        .find(VM, &PointRef::from(with_second[0].as_str()))
        .unwrap();
    qemu_img(&source, "snapshot -d second a.qcow2");
    let gone = catalog.open_disks(&point).unwrap_err().to_string();
    assert!(gone.contains("no internal snapshot"), "{gone}");
    catalog.rescan();
    assert_eq!(ids(&catalog).len(), 2);
}

#[test]
fn a_table_that_is_damaged_is_told() {
    let source = Source::new();
    qemu_img(&source, "create -q -f qcow2 a.qcow2 1M");
    snapshot(&source, "first", &["a.qcow2"]);
    let mut file = std::fs::read(source.file("a.qcow2")).unwrap();
    file[60..64].fill(0xff);
    source.write("a.qcow2", file);
    let point = source.point();
    assert!(
        point.problems[0].reason.contains("internal snapshots"),
        "{:?}",
        point.problems
    );
    assert_eq!(source.disk().info().size, 1 << 20);
}
