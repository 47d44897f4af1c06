//! Image files that change under an open disk: an error, never wrong data, never a crash.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use disk_image::{Damage, Disk, ReadError, Wait};

use crate::source::{Source, content, qemu_img, qemu_io};

const BYTES: usize = 4 << 20;

fn read(disk: &Disk, offset: u64, wait: Wait) -> Result<Vec<u8>, ReadError> {
    let mut buf = vec![0xee; 4096];
    disk.read_at(offset, &mut buf, wait)?;
    Ok(buf)
}

fn damage(disk: &Disk, offset: u64) -> Damage {
    match read(disk, offset, Wait::Allowed) {
        Err(ReadError::Damaged {
            offset: at, damage, ..
        }) => {
            assert_eq!(at, offset);
            damage
        }
        other => panic!("{other:?}"),
    }
}

fn raw_disk(source: &Source) -> Disk {
    source.write("disk.raw", content(BYTES, 21));
    source.disk("disk.raw")
}

#[test]
fn truncated() {
    let source = Source::new();
    let disk = raw_disk(&source);
    assert_eq!(
        read(&disk, 0, Wait::Allowed).unwrap(),
        content(BYTES, 21)[..4096]
    );
    OpenOptions::new()
        .write(true)
        .open(source.file("disk.raw"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    assert_eq!(damage(&disk, 2 << 20), Damage::Truncated { end: 2 << 20 });
    assert_eq!(damage(&disk, 0), Damage::Changed);
    assert!(read(&disk, 2 << 20, Wait::Never).is_err());
    assert!(read(&disk, 0, Wait::Never).is_err());
}

#[test]
fn truncated_in_the_middle_of_a_read_names_the_first_bad_byte() {
    let source = Source::new();
    let disk = raw_disk(&source);
    OpenOptions::new()
        .write(true)
        .open(source.file("disk.raw"))
        .unwrap()
        .set_len(1_000_000)
        .unwrap();
    let error = disk
        .read_at(900_000, &mut [0; 200_000], Wait::Allowed)
        .unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Damaged {
                offset: 1_000_000,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn written_over_in_place() {
    let source = Source::new();
    let disk = raw_disk(&source);
    let file = OpenOptions::new()
        .write(true)
        .open(source.file("disk.raw"))
        .unwrap();
    file.write_all_at(&[9; 4096], 8192).unwrap();
    assert_eq!(damage(&disk, 8192), Damage::Changed);
    assert_eq!(damage(&disk, 0), Damage::Changed);
}

#[test]
fn grown() {
    let source = Source::new();
    let disk = raw_disk(&source);
    OpenOptions::new()
        .append(true)
        .open(source.file("disk.raw"))
        .unwrap()
        .write_all(b"more")
        .unwrap();
    assert_eq!(damage(&disk, 0), Damage::Changed);
}

/// The disk stays what it was opened as: the new file under the old name is another.
#[test]
fn replaced_by_rename_or_deleted() {
    let source = Source::new();
    let disk = raw_disk(&source);
    fs::write(source.root().join("new"), vec![9; BYTES]).unwrap();
    fs::rename(source.root().join("new"), source.file("disk.raw")).unwrap();
    assert_eq!(
        read(&disk, 0, Wait::Allowed).unwrap(),
        content(BYTES, 21)[..4096]
    );
    fs::remove_file(source.file("disk.raw")).unwrap();
    assert_eq!(
        read(&disk, 4096, Wait::Allowed).unwrap(),
        content(BYTES, 21)[4096..8192]
    );
}

#[test]
fn base_written_over_says_which_file() {
    let source = Source::new();
    source.write("base.raw", content(BYTES, 22));
    qemu_img(&source, "create -f qcow2 -b base.raw -F raw top.qcow2");
    qemu_io(&source, "top.qcow2", &["write -P 1 1M 64k"]);
    let disk = source.disk("top.qcow2");
    File::create(source.file("base.raw"))
        .unwrap()
        .write_all(&vec![9; BYTES])
        .unwrap();
    let Err(ReadError::Damaged { path, .. }) = read(&disk, 0, Wait::Allowed) else {
        panic!("no error")
    };
    assert!(path.ends_with(Path::new("base.raw")), "{path:?}");
    assert_eq!(
        read(&disk, 1 << 20, Wait::Allowed).unwrap(),
        [1; 4096],
        "what the image above holds is good"
    );
}

#[test]
fn truncated_before_it_is_opened() {
    let source = Source::new();
    source.write("content", content(BYTES, 23));
    qemu_img(&source, "convert -f raw -O qcow2 content disk.qcow2");
    fs::remove_file(source.file("content")).unwrap();
    let bytes = fs::read(source.file("disk.qcow2")).unwrap();
    let expected = content(BYTES, 23);
    let mut refused = 0;
    for length in (0..bytes.len()).step_by(40_000) {
        source.write("disk.qcow2", &bytes[..length]);
        let Ok(disk) = source.open("disk.qcow2") else {
            refused += 1;
            continue;
        };
        let mut failed = 0;
        for offset in (0..BYTES).step_by(4096) {
            match read(&disk, offset as u64, Wait::Allowed) {
                Ok(good) => assert!(
                    good == expected[offset..offset + 4096],
                    "{offset} of {length}"
                ),
                Err(ReadError::Damaged {
                    damage: Damage::Truncated { .. },
                    ..
                }) => failed += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(
            failed > 0,
            "{length} of {} bytes, and everything could be read",
            bytes.len()
        );
    }
    assert!(
        refused >= 5,
        "a file without its L1 table does not open: {refused}"
    );
}

#[test]
fn reads_beyond_the_end_are_the_callers_mistake() {
    let source = Source::new();
    let disk = raw_disk(&source);
    for offset in [BYTES as u64 - 4095, BYTES as u64, u64::MAX, u64::MAX - 4096] {
        assert!(matches!(
            read(&disk, offset, Wait::Allowed),
            Err(ReadError::OutOfRange { .. })
        ));
    }
    disk.read_at(BYTES as u64, &mut [], Wait::Never).unwrap();
}
