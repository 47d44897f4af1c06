//! States that qcow2 images keep inside themselves are recovery points of their own.

use std::thread::sleep;
use std::time::{Duration, Instant};

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

/// An empty image with these snapshots: when each was made, in seconds and nanoseconds, and its name.
fn with_snapshots(snapshots: &[(u32, u32, String)]) -> Vec<u8> {
    let (size, l1_at, table_at) = (1_u64 << 20, 0x30000_u64, 0x40000_u64);
    let mut file = vec![0; table_at as usize];
    file[..4].copy_from_slice(b"QFI\xfb");
    for (at, value) in [(4, 2), (20, 16), (36, 1), (60, snapshots.len() as u32)] {
        file[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    for (at, value) in [(24, size), (40, l1_at), (64, table_at)] {
        file[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
    for (number, (seconds, nanoseconds, name)) in snapshots.iter().enumerate() {
        let id = (number + 1).to_string();
        file.extend(l1_at.to_be_bytes());
        file.extend(1_u32.to_be_bytes());
        file.extend((id.len() as u16).to_be_bytes());
        file.extend((name.len() as u16).to_be_bytes());
        file.extend(seconds.to_be_bytes());
        file.extend(nanoseconds.to_be_bytes());
        // The VM's clock and state, then sixteen bytes more: state, size of the disk.
        file.extend([0; 12]);
        file.extend(16_u32.to_be_bytes());
        file.extend([0; 8]);
        file.extend(size.to_be_bytes());
        file.extend(id.bytes().chain(name.bytes()));
        file.resize(file.len().next_multiple_of(8), 0);
    }
    file
}

#[test]
fn states_of_one_second_are_told_apart() {
    let source = Source::new();
    let states = [(0, "a"), (500, "b"), (500, "c"), (0, "d")];
    let states = states.map(|(nanoseconds, name)| (1_763_600_400, nanoseconds, name.to_owned()));
    source.write("a.qcow2", with_snapshots(&states));
    let catalog = source.catalog();
    let mut ids = ids(&catalog);
    ids.sort();
    let id = format!("{POINT}@2025-11-20T01-00-00Z");
    assert_eq!(
        ids,
        [
            POINT.to_owned(),
            id.clone(),
            format!("{id}.2"),
            format!("{id}.3"),
            format!("{id}.4")
        ]
    );
    for (id, snapshot) in ids[1..].iter().zip(["1", "2", "3", "4"]) {
        let point = catalog.find(VM, &PointRef::from(id.as_str())).unwrap();
        assert_eq!(point.disks[0].snapshot.as_deref(), Some(snapshot));
    }
}

/// Each image keeps as many states as it may, all of names of their own.
#[test]
fn more_states_than_are_listed() {
    let source = Source::new();
    const DISKS: u32 = 96;
    for disk in 0..DISKS {
        let states =
            (0..1024).map(|n| (1_700_000_000 + n * DISKS + disk, 0, format!("{disk}-{n}")));
        let states: Vec<_> = states.collect();
        source.write(&format!("{disk}.qcow2"), with_snapshots(&states));
    }
    let start = Instant::now();
    let catalog = source.catalog();
    // A scan that takes long is not waited for.
    let points = loop {
        let points = catalog.list(&Default::default());
        let took = start.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}");
        if !points.is_empty() {
            println!("{DISKS} images of 1024 states: {took:?}");
            break points;
        }
        sleep(Duration::from_millis(100));
    };
    // 16,384 disks in 170 states of 96 disks each.
    assert_eq!(points.len(), 171);
    let oldest = points[170].time.as_second();
    assert_eq!(oldest, 1_700_000_000 + 1024 * i64::from(DISKS) - 170);
    let current = catalog.find(VM, &PointRef::from(POINT)).unwrap();
    let [problem] = &current.problems[..] else {
        panic!("{:?}", current.problems);
    };
    assert!(
        problem.reason.contains("98304") && problem.reason.contains("170"),
        "{problem:?}"
    );
    assert_eq!(current.disks.len(), 96);
}

#[test]
fn ten_thousand_states_list_within_a_second() {
    let source = Source::new();
    std::fs::remove_dir_all(source.root().join(VM)).unwrap();
    let states = |vm: u32| {
        let states = (0..1000).map(|n| (1_700_000_000 + n, vm, format!("daily-{n}")));
        states.collect::<Vec<_>>()
    };
    for vm in 0..10 {
        let folder = source.root().join(format!("vm{vm}")).join(POINT);
        std::fs::create_dir_all(&folder).unwrap();
        for disk in ["a.qcow2", "b.qcow2"] {
            std::fs::write(folder.join(disk), with_snapshots(&states(vm))).unwrap();
        }
    }
    let catalog = source.catalog();
    // Long enough for everything to be relied on.
    sleep(Duration::from_secs(5));
    catalog.rescan();
    let start = Instant::now();
    catalog.rescan();
    let points = catalog.list(&Default::default());
    let took = start.elapsed();
    println!("10,010 points: {took:?}");
    assert_eq!(points.len(), 10 * 1001);
    assert!(took < Duration::from_secs(1), "{took:?}");
}
