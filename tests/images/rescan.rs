//! What changes in a source is seen by the next scan, and nothing that did not is read again.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use itemlift::point::{Catalog, Filter, PointRef, SourceConfig};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::source::{Source, VM, add, names};

#[test]
fn changes_are_seen_by_the_next_scan() {
    let source = Source::new();
    source.write("disk.raw", "x");
    let catalog = source.catalog();
    assert_eq!(
        names(&catalog.find(VM, &PointRef::Latest).unwrap()),
        ["disk.raw"]
    );
    source.write("disk2.raw", "x");
    catalog.rescan();
    assert_eq!(
        names(&catalog.find(VM, &PointRef::Latest).unwrap()).len(),
        2
    );
    source.write("point.toml", "os = 'a'");
    catalog.rescan();
    assert_eq!(
        catalog.find(VM, &PointRef::Latest).unwrap().os.as_deref(),
        Some("a")
    );
    source.write("point.toml", "os = 'b'");
    catalog.rescan();
    assert_eq!(
        catalog.find(VM, &PointRef::Latest).unwrap().os.as_deref(),
        Some("b")
    );
    add(&source, "vm/2026-11-21", &[("disk.raw", "x")]);
    catalog.rescan();
    assert_eq!(
        catalog.find(VM, &PointRef::Latest).unwrap().id,
        "2026-11-21"
    );
    fs::remove_dir_all(source.root().join(VM)).unwrap();
    catalog.rescan();
    assert!(catalog.find(VM, &PointRef::Latest).is_err());
}

/// A folder's time is coarse: a change right after the scan may leave it as it was.
#[test]
fn changes_within_one_tick_of_the_clock_are_seen() {
    let source = Source::new();
    source.write("disk.raw", "x");
    let catalog = source.catalog();
    let folder = File::open(source.file("")).unwrap();
    let before = folder.metadata().unwrap().modified().unwrap();
    source.write("disk2.raw", "x");
    folder.set_modified(before).unwrap();
    catalog.rescan();
    assert_eq!(
        names(&catalog.find(VM, &PointRef::Latest).unwrap()).len(),
        2
    );
}

#[test]
fn what_was_wrong_is_looked_at_again_though_no_folder_changed() {
    let source = Source::new();
    source.write("disk.raw", "x");
    let shared = source.root().join("shared.toml");
    symlink("../../shared.toml", source.file("point.toml")).unwrap();
    let long_ago = Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 0,
    };
    let long_ago = Timestamps {
        last_access: long_ago,
        last_modification: long_ago,
    };
    for path in [source.file("point.toml"), source.file("")] {
        utimensat(CWD, &path, &long_ago, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    let catalog = source.catalog();
    let os = || catalog.find(VM, &PointRef::Latest).unwrap().os.clone();
    for text in ["os = 'a'", "os = 'b'"] {
        fs::write(&shared, text).unwrap();
        catalog.rescan();
        assert_eq!(os().unwrap(), text[6..7]);
    }
    fs::write(&shared, "nonsense").unwrap();
    catalog.rescan();
    assert_eq!(
        catalog.find(VM, &PointRef::Latest).unwrap().problems.len(),
        1
    );
    fs::remove_file(&shared).unwrap();
    catalog.rescan();
    assert_eq!((os(), catalog.problems()), (None, vec![]));
}

#[test]
fn a_source_that_is_not_there_is_a_problem_until_it_is() {
    let source = Source::new();
    let path = source.root().join("later");
    let catalog = Catalog::open(&[SourceConfig::Images { path: path.clone() }]).unwrap();
    assert_eq!(catalog.list(&Filter::default()), []);
    assert!(
        catalog.problems()[0]
            .problem
            .reason
            .contains("does not exist")
    );
    add(&source, "later/vm/2026-11-21", &[("disk.raw", "x")]);
    catalog.rescan();
    assert_eq!(catalog.list(&Filter::default()).len(), 1);
    assert_eq!(catalog.problems(), []);
}
