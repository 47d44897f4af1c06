//! Internal snapshots of qcow2: each state as `qemu-img convert -l` has it.

use crate::damage::mutate;
use crate::source::{Source, assert_same, content, qemu_img, qemu_io};

const MIB: usize = 1 << 20;

/// What `qemu-img` says a snapshot holds.
fn view(source: &Source, id: &str) -> Vec<u8> {
    qemu_img(
        source,
        &format!("convert -f qcow2 -l snapshot.id={id} -O raw disk.qcow2 ../view"),
    );
    std::fs::read(source.root().join("view")).unwrap()
}

fn assert_all_as_qemu(source: &Source, names: &[&str]) {
    let snapshots = source.snapshots("disk.qcow2").unwrap();
    let found: Vec<&str> = snapshots
        .iter()
        .map(|snapshot| snapshot.name.as_str())
        .collect();
    assert_eq!(found, names);
    for snapshot in &snapshots {
        let disk = source.open_at("disk.qcow2", &snapshot.id).unwrap();
        assert_same(&disk, &view(source, &snapshot.id), &snapshot.name);
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        assert!(now.abs_diff(snapshot.time.0.into()) < 3600);
    }
}

#[test]
fn states_of_a_disk() {
    for options in [
        "cluster_size=64k",
        "cluster_size=4k",
        "extended_l2=on",
        "compat=0.10",
    ] {
        let source = Source::new();
        qemu_img(
            &source,
            &format!("create -q -f qcow2 -o {options} disk.qcow2 9M"),
        );
        qemu_io(&source, "disk.qcow2", &["write -P 1 0 4M"]);
        qemu_img(&source, "snapshot -c before disk.qcow2");
        qemu_io(
            &source,
            "disk.qcow2",
            &["write -P 2 1M 1M", "write -P 3 8M 64k"],
        );
        qemu_img(&source, "snapshot -c two disk.qcow2");
        qemu_io(&source, "disk.qcow2", &["write -z 0 2M", "discard 3M 1M"]);
        assert_all_as_qemu(&source, &["before", "two"]);
        qemu_img(&source, "snapshot -d before disk.qcow2");
        assert_all_as_qemu(&source, &["two"]);
        let gone = source.open_at("disk.qcow2", "1").unwrap_err().to_string();
        assert!(gone.contains("no internal snapshot"), "{gone}");
    }
}

#[test]
fn over_a_base_and_before_the_disk_grew() {
    let source = Source::new();
    source.write("base.raw", content(3 * MIB, 111));
    qemu_img(
        &source,
        "create -q -f qcow2 -b base.raw -F raw disk.qcow2 4M",
    );
    qemu_io(&source, "disk.qcow2", &["write -P 1 1M 100k"]);
    qemu_img(&source, "snapshot -c small disk.qcow2");
    qemu_img(&source, "resize -q disk.qcow2 9M");
    qemu_io(&source, "disk.qcow2", &["write -P 2 0 8M"]);
    qemu_img(&source, "snapshot -c large disk.qcow2");
    let snapshots = source.snapshots("disk.qcow2").unwrap();
    let small = source.open_at("disk.qcow2", &snapshots[0].id).unwrap();
    let mut expected = content(3 * MIB, 111);
    expected.resize(4 * MIB, 0);
    expected[MIB..MIB + 100 * 1024].fill(1);
    assert_same(&small, &expected, "small");
    let large = source.open_at("disk.qcow2", &snapshots[1].id).unwrap();
    assert_same(&large, &view(&source, &snapshots[1].id), "large");
}

#[test]
fn images_that_keep_none() {
    let source = Source::new();
    source.write("disk.raw", content(MIB, 112));
    qemu_img(&source, "create -q -f qcow2 disk.qcow2 1M");
    qemu_img(&source, "create -q -f vmdk disk.vmdk 1M");
    for name in ["disk.raw", "disk.qcow2", "disk.vmdk"] {
        assert_eq!(source.snapshots(name).unwrap(), []);
        let refusal = source.open_at(name, "1").unwrap_err().to_string();
        assert!(
            refusal.contains("no internal snapshot"),
            "{name}: {refusal}"
        );
    }
}

#[test]
fn tables_that_do_not_hold_together() {
    let source = Source::new();
    qemu_img(&source, "create -q -f qcow2 disk.qcow2 1M");
    qemu_io(&source, "disk.qcow2", &["write -P 1 0 1M"]);
    qemu_img(&source, "snapshot -c one disk.qcow2");
    let file = source.read("disk.qcow2");
    let refusal = |at: usize, value: &[u8]| {
        let mut file = file.clone();
        file[at..at + value.len()].copy_from_slice(value);
        source.write("disk.qcow2", file);
        source.open_at("disk.qcow2", "1").unwrap_err().to_string()
    };
    let table = u64::from_be_bytes(file[64..72].try_into().unwrap()) as usize;
    assert!(refusal(60, &[0xff; 4]).contains("over the limit"));
    assert!(refusal(60, &[0, 0, 4, 0]).contains("ends inside its header"));
    assert!(refusal(64, &[0xff; 8]).contains("ends inside its header"));
    assert!(refusal(table + 36, &[0xff; 4]).contains("ends too soon"));
    assert!(refusal(table + 8, &[0xff; 4]).contains("over the limit"));
    assert!(refusal(table + 8, &[0; 4]).contains("needs 1"));
    assert!(refusal(table, &[0x7f; 8]).contains("not a multiple"));
    // The current state does not depend on it.
    let mut damaged = file.clone();
    damaged[table..table + 40].fill(0xff);
    source.write("disk.qcow2", damaged);
    assert_same(&source.disk("disk.qcow2"), &vec![1; MIB], "current state");
    source.write("disk.qcow2", file);
    let places: Vec<usize> = (60..72).chain(table..table + 64).collect();
    let outcome = mutate(&source, "disk.qcow2", &places, &vec![1; MIB], 50);
    assert_eq!((outcome.opened, outcome.other), (50, 0));
}
