//! Blobs that no index knows: their ranges are damaged, and nothing else of the disk.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use itemlift::point::{Disk, PointRef, ReadError, Wait};

use crate::bed::{Bed, config, files, open};
use crate::oracle::{assert_same, content};
use crate::rest_server::RestServer;

const MIB: usize = 1 << 20;

/// A disk, some parts of which were in the repository before it: the index file that knows them is another one.
struct TwoIndexes {
    bed: Bed,
    disk: Vec<u8>,
    /// The index file of those parts.
    first: PathBuf,
}

fn two_indexes(old: &[u8], disk: Vec<u8>, name: &str) -> TwoIndexes {
    let bed = Bed::new(2);
    bed.write("old.bin", old);
    let snapshot = bed.backup("01:00:00", &[]);
    bed.restic(&["forget", &snapshot]);
    let mut indexes = files(&bed.repository().join("index"));
    assert_eq!(indexes.len(), 1);
    let first = indexes.remove(0);
    fs::remove_file(bed.vm().join("old.bin")).unwrap();
    bed.write(name, &disk);
    bed.backup("02:00:00", &["--tag", "vm=two"]);
    TwoIndexes { bed, disk, first }
}

/// Reads a disk as a verification does: the ranges that cannot be read; all others are right.
fn lost(disk: &Disk, right: &[u8]) -> Vec<(usize, usize)> {
    assert_eq!(disk.info().size, right.len() as u64);
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < right.len() {
        let mut buf = vec![0xee; (right.len() - at).min(100_000)];
        match disk.read_at(at as u64, &mut buf, Wait::Allowed) {
            Ok(()) => {
                assert!(buf == right[at..at + buf.len()], "wrong data at {at}");
                at += buf.len();
            }
            Err(ReadError::Damaged { offset, damage, .. }) => {
                let told = damage.to_string();
                for words in ["in no index", "forget and prune", "restic repair index"] {
                    assert!(told.contains(words), "{told}");
                }
                let end = (offset + disk.lost_together_at(offset)) as usize;
                assert!(offset as usize >= at && end > offset as usize);
                match ranges.last_mut().filter(|last| last.1 == offset as usize) {
                    Some(last) => last.1 = end,
                    None => ranges.push((offset as usize, end)),
                }
                at = end;
            }
            Err(error) => panic!("{error}"),
        }
    }
    ranges
}

/// In how many pieces the part is that stands at each of these places, and whether each lies within.
fn assert_within(ranges: &[(usize, usize)], places: &[(usize, usize)]) {
    assert!(!ranges.is_empty());
    for (from, to) in ranges {
        let is_in = places
            .iter()
            .any(|place| place.0 <= *from && *to <= place.1);
        assert!(is_in, "{ranges:?} of {places:?}");
    }
}

#[test]
fn what_stood_in_one_place_is_damaged_there() {
    // Where blobs end is another matter in each repository; so much has some whole ones in each.
    for (mib, seed) in [(9, 201), (14, 202)] {
        let old = content(mib * MIB, seed);
        let disk = [content(5 * MIB, 211), old.clone(), content(3 * MIB, 212)].concat();
        let two = two_indexes(&old, disk, "disk.raw");
        let index = fs::read(&two.first).unwrap();
        fs::remove_file(&two.first).unwrap();
        let disk = two.bed.disk();
        let ranges = lost(&disk, &two.disk);
        assert_eq!(ranges.len(), 1, "{ranges:?}");
        assert_within(&ranges, &[(5 * MIB, (5 + mib) * MIB)]);
        // As `restic repair index` would.
        fs::write(&two.first, index).unwrap();
        let catalog = two.bed.catalog();
        let point = catalog.find("two", &PointRef::Latest).unwrap();
        let again = catalog.open_disks(&point).unwrap();
        assert_eq!(lost(&again[0], &two.disk), [], "the index is there again");
    }
}

#[test]
fn one_blob_that_stands_in_two_places_is_damaged_in_both() {
    // Of zeros, restic makes blobs that are all the same.
    let old = vec![0; 2 * MIB];
    let between = content(4 * MIB, 222);
    let disk = [&old[..], &between, &old, &content(2 * MIB, 223)].concat();
    let two = two_indexes(&old, disk, "disk.raw");
    fs::remove_file(&two.first).unwrap();
    let ranges = lost(&two.bed.disk(), &two.disk);
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert_within(&ranges, &[(0, 2 * MIB), (6 * MIB, 8 * MIB)]);
}

#[test]
fn what_lies_between_two_gaps_is_damaged_too_as_nobody_knows_where() {
    let old = content(18 * MIB, 231);
    let (one, other) = old.split_at(9 * MIB);
    let between = content(3 * MIB, 232);
    let head = content(2 * MIB, 233);
    let disk = [&head, one, &between, other, &content(2 * MIB, 234)].concat();
    let two = two_indexes(&old, disk, "disk.raw");
    fs::remove_file(&two.first).unwrap();
    let ranges = lost(&two.bed.disk(), &two.disk);
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(ranges[0].0 >= 2 * MIB && ranges[0].1 <= 23 * MIB);
    assert!(ranges[0].1 - ranges[0].0 > 3 * MIB, "{ranges:?}");
}

#[test]
fn a_disk_is_not_taken_for_damaged_while_an_index_file_is_out_of_reach() {
    let old = content(9 * MIB, 241);
    let disk = [content(MIB, 242), old.clone()].concat();
    let two = two_indexes(&old, disk, "disk.raw");
    let server = RestServer::new(&two.bed.repository());
    let name = two.first.file_name().unwrap().to_str().unwrap();
    let index = format!("index/{name}");
    server.is_busy_with(Some(&index));
    let catalog = open(config(&format!(
        "repository = {:?}\npassword_file = {:?}",
        server.url(),
        two.bed.password_file()
    )));
    let point = catalog.find("two", &PointRef::Latest).unwrap();
    let refused = catalog.open_luns(&point).unwrap_err().to_string();
    assert!(
        refused.contains(&index) && refused.contains("503"),
        "{refused}"
    );
    assert!(refused.contains("check the storage"), "{refused}");
    server.is_busy_with(None);
    catalog.rescan();
    let luns = catalog.open_luns(&point).unwrap();
    assert_same(luns[0].disk.as_ref().unwrap(), &two.disk, "it is back");
}

#[test]
fn a_folder_that_could_not_be_read_is_looked_at_again() {
    let bed = Bed::new(2);
    bed.write("b/b.raw", content(64 << 10, 251));
    let snapshot = bed.backup("01:00:00", &[]);
    bed.restic(&["forget", &snapshot]);
    let first = files(&bed.repository().join("index")).remove(0);
    bed.write("a/a.raw", content(64 << 10, 252));
    bed.backup("02:00:00", &[]);
    let index = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    let catalog = bed.catalog();
    let disks = || {
        let point = bed.point(&catalog);
        let names: Vec<String> = point.disks.iter().map(|disk| disk.name.clone()).collect();
        (names.join(" "), point.problems.len())
    };
    assert_eq!(disks(), ("a.raw".to_owned(), 1));
    fs::write(&first, index).unwrap();
    let begun = Instant::now();
    while disks().1 > 0 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(500));
        catalog.rescan();
    }
    assert_eq!(disks(), ("a/a.raw b/b.raw".to_owned(), 0));
}
