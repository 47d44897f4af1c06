//! The disks in a repository are, byte by byte, what restic and QEMU say that they are.

use std::fs;

use itemlift::point::Wait;
use rustic_backend::BackendOptions;
use rustic_core::repofile::{Chunker, SnapshotFile};
use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, KeyOptions, PathList, Repository, RepositoryOptions,
};

use crate::bed::{Bed, PASSWORD};
use crate::oracle::{assert_same, content, qemu_img, qemu_io};

const DISK_BYTES: usize = 24 << 20;

/// A raw disk and a chain of two qcow2 images, the lower one compressed.
fn write_disks(bed: &Bed, seed: u64) {
    bed.write("disk0.raw", content(DISK_BYTES, seed));
    bed.write("base", content(DISK_BYTES / 2, seed + 1));
    let vm = bed.vm();
    qemu_img(&vm, "convert -c -f raw -O qcow2 base base.qcow2");
    fs::remove_file(vm.join("base")).unwrap();
    qemu_img(&vm, "create -q -f qcow2 -b base.qcow2 -F qcow2 disk1.qcow2");
    qemu_io(
        &vm,
        "disk1.qcow2",
        &["write -P 7 1M 3M", "write -z 6M 100k"],
    );
}

fn compare(bed: &Bed, snapshot: &str, what: &str) {
    let disks = bed.open().unwrap();
    let names: Vec<&str> = disks.iter().map(|disk| disk.info().name.as_str()).collect();
    assert_eq!(names, ["disk0.raw", "disk1.qcow2"], "{what}");
    assert_same(&disks[0], &bed.dump(snapshot, "disk0.raw"), what);
    let out = tempfile::tempdir().unwrap();
    for name in ["base.qcow2", "disk1.qcow2"] {
        fs::write(out.path().join(name), bed.dump(snapshot, name)).unwrap();
    }
    qemu_img(out.path(), "convert -O raw disk1.qcow2 disk1.raw");
    let expected = fs::read(out.path().join("disk1.raw")).unwrap();
    assert_same(&disks[1], &expected, what);
}

#[test]
fn every_version_and_compression() {
    for (version, compression) in [(1, "off"), (2, "off"), (2, "auto"), (2, "max")] {
        let what = format!("version {version}, compression {compression}");
        let bed = Bed::new(version);
        let more: &[&str] = match version {
            1 => &[],
            _ => &["--compression", compression],
        };
        write_disks(&bed, 1);
        bed.backup("02:00:00", more);
        // Most of it is there already: the blobs of one file lie in packs of several snapshots.
        let mut changed = fs::read(bed.vm().join("disk0.raw")).unwrap();
        changed[9 << 20..10 << 20].fill(0x55);
        bed.write("disk0.raw", changed);
        let snapshot = bed.backup("03:00:00", more);
        compare(&bed, &snapshot, &what);
    }
}

#[test]
fn chunks_of_one_size_as_rustic_makes_them() {
    let bed = Bed::without_repository();
    write_disks(&bed, 5);
    let backends = BackendOptions::default()
        .repository(bed.repository().to_str().unwrap())
        .to_backends()
        .unwrap();
    let options = RepositoryOptions::default().no_cache(true);
    let config = ConfigOptions::default()
        .set_chunker(Chunker::FixedSize)
        .set_chunk_size(bytesize::ByteSize::kib(256));
    let repository = Repository::new(&options, &backends)
        .unwrap()
        .init(
            &Credentials::password(PASSWORD),
            &KeyOptions::default(),
            &config,
        )
        .unwrap()
        .to_indexed_ids()
        .unwrap();
    let paths = PathList::from_iter([bed.vm()]);
    let backup = BackupOptions::default().as_path(std::path::PathBuf::from("/"));
    let snapshot = repository
        .backup(&backup, &paths, SnapshotFile::default())
        .unwrap();
    compare(&bed, &snapshot.id.to_hex().as_str()[..8], "rustic");
}

#[test]
fn what_was_read_once_is_read_again_without_waiting() {
    let bed = Bed::new(2);
    bed.write("disk.raw", content(4 << 20, 3));
    bed.backup("02:00:00", &[]);
    let disk = bed.disk();
    let mut buf = [0; 4096];
    assert!(disk.read_at(1 << 20, &mut buf, Wait::Never).is_err());
    disk.read_at(1 << 20, &mut buf, Wait::Allowed).unwrap();
    // The blob has it all: nothing of the repository is needed any more.
    fs::remove_dir_all(bed.repository()).unwrap();
    let mut again = [0; 4096];
    disk.read_at(1 << 20, &mut again, Wait::Never).unwrap();
    assert_eq!(buf, again);
}

#[test]
fn references_do_not_leave_the_snapshot() {
    let bed = Bed::new(2);
    bed.write("secret.raw", content(1 << 20, 1));
    bed.backup("01:00:00", &["--tag", "vm=other"]);
    fs::remove_file(bed.vm().join("secret.raw")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", bed.vm().join("link.raw")).unwrap();
    for (name, backing) in [
        ("gone.qcow2", "secret.raw"),
        ("out.qcow2", "../../../../etc/passwd"),
        ("absolute.qcow2", "/etc/passwd"),
        ("link.qcow2", "link.raw"),
    ] {
        qemu_img(
            &bed.vm(),
            &format!("create -q -f qcow2 -u -b {backing} -F raw {name} 1M"),
        );
    }
    bed.backup("02:00:00", &["--tag", "vm=web01"]);
    let catalog = bed.catalog();
    let point = catalog.find("web01", &"latest".into()).unwrap();
    let names: Vec<&str> = point.disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!(
        names,
        ["absolute.qcow2", "gone.qcow2", "link.qcow2", "out.qcow2"]
    );
    for (name, word) in [
        ("gone.qcow2", "does not exist"),
        ("out.qcow2", "leads out"),
        ("absolute.qcow2", "does not exist"),
        ("link.qcow2", "not a regular file"),
    ] {
        let error = catalog.open_disk(&point, name).unwrap_err().to_string();
        assert!(error.contains(word), "{name}: {error}");
    }
}
