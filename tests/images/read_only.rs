//! A source belongs to the backups: nothing that is done here leaves a trace in it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use itemlift::point::Wait;

use crate::source::{Source, content, qemu_img};

/// Every file and folder below: its inode, length, times of content and of state, and its bytes.
fn state(folder: &Path) -> Vec<(PathBuf, [i64; 6], Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let is = fs::symlink_metadata(&path).unwrap();
        let mut bytes = Vec::new();
        if is.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            bytes = fs::read(&path).unwrap();
        }
        let facts = [
            is.ino() as i64,
            is.len() as i64,
            is.mtime(),
            is.mtime_nsec(),
            is.ctime(),
            is.ctime_nsec(),
        ];
        found.push((path, facts, bytes));
    }
    found.sort();
    found
}

#[test]
fn a_source_is_as_it_was_after_everything_was_read() {
    let source = Source::new();
    source.write("a.raw", content(1 << 20, 1));
    source.write("base", content(1 << 20, 2));
    qemu_img(&source, "convert -c -f raw -O qcow2 base b.qcow2");
    fs::remove_file(source.file("base")).unwrap();
    qemu_img(&source, "create -q -f qcow2 -b b.qcow2 -F qcow2 c.qcow2");
    source.write("broken.qcow2", b"QFI\xfb no header");
    source.write(
        "point.toml",
        "[[disk]]\nfile = \"a.raw\"\n[[disk]]\nfile = \"c.qcow2\"\n",
    );
    let before = state(source.root());

    let catalog = source.catalog();
    catalog.rescan();
    let disks = source.open().unwrap();
    assert_eq!(disks.len(), 2);
    for disk in disks {
        let mut bytes = vec![0; 1 << 20];
        // A first try that may not wait, as the data plane does it.
        let _ = disk.read_at(0, &mut bytes, Wait::Never);
        disk.read_at(0, &mut bytes, Wait::Allowed).unwrap();
        assert!(bytes == content(1 << 20, 1) || bytes == content(1 << 20, 2));
    }
    assert!(state(source.root()) == before, "the source has changed");
}
