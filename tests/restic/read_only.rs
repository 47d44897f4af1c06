//! Nothing that is done with a repository leaves a trace in it, or elsewhere.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::bed::{Bed, files};
use crate::oracle::{assert_same, content};

fn state(folder: &Path) -> Vec<(PathBuf, u64, i64, i64, Vec<u8>)> {
    let facts = |path: PathBuf| {
        let is = fs::symlink_metadata(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        (path, is.ino(), is.mtime_nsec(), is.ctime_nsec(), bytes)
    };
    files(folder).into_iter().map(facts).collect()
}

#[test]
fn a_repository_is_as_it_was_after_everything_was_read() {
    let bed = Bed::new(2);
    let disk = content(2 << 20, 1);
    bed.write("disk.raw", &disk);
    bed.backup("02:00:00", &[]);
    let before = state(&bed.repository());
    let folders = fs::metadata(bed.repository().join("locks"))
        .unwrap()
        .mtime_nsec();
    let catalog = bed.catalog();
    catalog.rescan();
    assert_same(&bed.disk(), &disk, "read");
    assert!(state(&bed.repository()) == before);
    let after = fs::metadata(bed.repository().join("locks"))
        .unwrap()
        .mtime_nsec();
    assert_eq!(after, folders, "a lock came and went");
}
