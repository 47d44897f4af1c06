//! Bit rot in a repository: right data or an error, whichever byte it is.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use itemlift::point::{Catalog, Filter, PointRef, ReadError, Wait};

use crate::bed::{Bed, change, files};
use crate::oracle::{Numbers, assert_same, content};

/// Reads the disk through a catalog of its own. `Ok`: how many of its 64 KiB pieces could not be read; the others are right.
fn read(bed: &Bed, right: &[u8]) -> Result<usize, String> {
    let catalog = bed.catalog();
    let problems = || format!("{:?}", catalog.problems());
    let points = catalog.list(&Filter::default());
    let point = points.first().ok_or_else(problems)?;
    let disks = catalog
        .open_disks(point)
        .map_err(|error| error.to_string())?;
    assert_eq!(disks[0].info().size, right.len() as u64);
    let mut bad = 0;
    for (number, right) in right.chunks(64 << 10).enumerate() {
        let offset = (number as u64) << 16;
        let mut buf = vec![0xee; right.len()];
        match disks[0].read_at(offset, &mut buf, Wait::Allowed) {
            Ok(()) => assert!(buf == right, "wrong data at {offset}"),
            Err(ReadError::Damaged {
                offset: at, damage, ..
            }) => {
                assert!((offset..offset + (64 << 10)).contains(&at), "{offset} {at}");
                let reason = damage.to_string();
                assert!(
                    reason.contains("data/") && reason.contains("restic check"),
                    "{reason}"
                );
                bad += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    Ok(bad)
}

fn bed() -> (Bed, Vec<u8>) {
    let bed = Bed::new(2);
    let disk = content(8 << 20, 1);
    bed.write("disk.raw", &disk);
    bed.backup("02:00:00", &[]);
    (bed, disk)
}

/// Does something to each file of a kind in turn, and puts it right again.
fn each(folder: &Path, mut spoil: impl FnMut(&mut Vec<u8>), mut look: impl FnMut(&Path)) {
    for path in files(folder) {
        let good = fs::read(&path).unwrap();
        change(&path, &mut spoil);
        look(&path);
        change(&path, |bytes| *bytes = good);
    }
}

#[test]
fn every_kind_of_file_is_checked() {
    let (bed, disk) = bed();
    assert_eq!(read(&bed, &disk), Ok(0));
    let mut numbers = Numbers(7);
    for kind in ["data", "index", "snapshots", "keys"] {
        let mut noticed = 0;
        for _ in 0..4 {
            let spoil = |bytes: &mut Vec<u8>| {
                let at = numbers.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << (at % 8);
            };
            each(&bed.repository().join(kind), spoil, |path| {
                match read(&bed, &disk) {
                    Ok(bad) => noticed += bad,
                    // What is wrong and where.
                    Err(message) => {
                        noticed += 1;
                        assert!(!message.is_empty(), "{path:?}");
                    }
                }
            });
        }
        // A key's file has names and times in it that may change.
        assert!(noticed > 0, "{kind}");
    }
    assert_eq!(read(&bed, &disk), Ok(0));
}

#[test]
fn files_that_are_cut_empty_or_swapped() {
    let (bed, disk) = bed();
    for kind in ["data", "index", "snapshots", "keys"] {
        let folder = bed.repository().join(kind);
        for length in [0, 7, 31, 40, 100] {
            each(
                &folder,
                |bytes| bytes.truncate(length),
                |path| {
                    let outcome = read(&bed, &disk);
                    assert!(!matches!(outcome, Ok(0)), "{path:?} of {length} bytes");
                },
            );
        }
    }
    // Authentic, and not what it is called.
    bed.write("disk.raw", content(8 << 20, 2));
    bed.backup("03:00:00", &[]);
    let packs = files(&bed.repository().join("data"));
    let swapped: Vec<Vec<u8>> = packs.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, bytes) in packs.iter().zip(swapped.iter().cycle().skip(1)) {
        change(path, |content| content.clone_from(bytes));
    }
    let catalog = bed.catalog();
    assert!(!catalog.problems().is_empty());
    let snapshots = files(&bed.repository().join("snapshots"));
    let other = fs::read(&snapshots[1]).unwrap();
    change(&snapshots[0], |content| *content = other);
    let problems = format!("{:?}", bed.catalog().problems());
    assert!(problems.contains("SHA-256"), "{problems}");
}

#[test]
fn one_bad_blob_spoils_only_what_lies_in_it() {
    let (bed, disk) = bed();
    let packs = files(&bed.repository().join("data"));
    let length = |pack: &PathBuf| fs::metadata(pack).unwrap().len() as usize;
    let pack = packs.iter().max_by_key(|pack| length(pack)).unwrap();
    // In the first blob, in the middle, and in a late one.
    for at in [100, length(pack) / 2, length(pack) * 3 / 4] {
        change(pack, |bytes| bytes[at] ^= 1);
        // Also if it is the first of the disk: this one is raw, and nobody but the guest says what stands there.
        let bad = read(&bed, &disk).unwrap();
        // A blob has 8 MiB at most, and one MiB most often; the disk has more.
        assert!(bad > 0 && bad < 128, "{bad} of 128");
        // What is damaged is told by a read; the rest of the catalog is as it was.
        let catalog: Catalog = bed.catalog();
        let point = catalog.find("kvm1", &PointRef::Latest).unwrap();
        assert_eq!(point.problems, []);
        change(pack, |bytes| bytes[at] ^= 1);
    }
}

#[test]
fn a_raw_disk_whose_first_bytes_are_lost_is_opened_for_the_others() {
    let bed = Bed::new(2);
    // A file of less than 512 KiB is one blob.
    bed.write("disk.raw", content(256 << 10, 1));
    bed.backup("02:00:00", &[]);
    change(&new_packs(&bed, &[])[0], |bytes| bytes[100] ^= 1);
    let disk = bed.disk();
    assert_eq!(disk.info().size, 256 << 10);
    let outcome = disk.read_at(0, &mut [0; 4096], Wait::Allowed);
    assert!(
        matches!(outcome, Err(ReadError::Damaged { offset: 0, .. })),
        "{outcome:?}"
    );
}

/// The files of the repository's packs that were not there before, the largest first.
fn new_packs(bed: &Bed, before: &[PathBuf]) -> Vec<PathBuf> {
    let mut packs = files(&bed.repository().join("data"));
    packs.retain(|pack| !before.contains(pack));
    packs.sort_by_key(|pack| Reverse(fs::metadata(pack).unwrap().len()));
    packs
}

#[test]
fn a_lost_first_block_keeps_nobody_from_the_other_disks() {
    let bed = Bed::new(2);
    let right = content(1 << 20, 1);
    bed.write("a.raw", &right);
    bed.backup("01:00:00", &[]);
    let before = files(&bed.repository().join("data"));
    let small = bed.repository().with_file_name("small");
    fs::write(&small, content(256 << 10, 2)).unwrap();
    let made = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .args([small, bed.vm().join("b.qcow2")])
        .status();
    assert!(made.unwrap().success());
    bed.backup("02:00:00", &["--tag", "vm=named,disk0=a.raw,disk1=b.qcow2"]);
    bed.backup("02:00:00", &["--tag", "vm=found"]);
    // A file of less than 512 KiB is one blob.
    let pack = &new_packs(&bed, &before)[0];
    change(pack, |bytes| bytes[100] ^= 1);

    let catalog = bed.catalog();
    let luns = |vm: &str| {
        let point = catalog.find(vm, &PointRef::Latest).unwrap();
        catalog.open_luns(&point).map_err(|error| error.to_string())
    };
    let named = luns("named").unwrap();
    assert_same(named[0].disk.as_ref().unwrap(), &right, "the other disk");
    let damage = named[1].disk.as_ref().unwrap_err().to_string();
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(
        damage.contains("b.qcow2") && damage.contains(name),
        "{damage}"
    );
    assert!(damage.contains("restic check"), "{damage}");
    // Where nobody says so, a.raw may be what b.qcow2 was made upon.
    let refused = luns("found").unwrap_err();
    assert!(
        refused.contains(name) && refused.contains("diskN="),
        "{refused}"
    );
}
