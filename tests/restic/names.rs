//! What a snapshot is called, and which of its files are disks.

use itemlift::point::{Consistency, Filter, RecoveryPoint};

use crate::bed::{Bed, ids};
use crate::oracle::content;

fn disks(point: &RecoveryPoint) -> Vec<&str> {
    point.disks.iter().map(|disk| disk.name.as_str()).collect()
}

#[test]
fn a_snapshot_is_named_by_its_tag_or_host_and_its_time() {
    let bed = Bed::new(2);
    bed.write("images/disk10.raw", content(4096, 1));
    bed.write("images/disk2.img", content(4096, 2));
    bed.write("images/notes.txt", "x");
    let first = bed.backup("02:00:00", &[]);
    let second = bed.backup(
        "02:00:00",
        &[
            "--tag",
            "daily",
            "--tag",
            "vm=web01,consistency=application,os=Debian 12",
        ],
    );
    std::fs::remove_dir_all(bed.vm().join("images")).unwrap();
    bed.write("etc/passwd", "root");
    bed.backup("03:00:00", &[]);

    let catalog = bed.catalog();
    let points = catalog.list(&Filter::default());
    assert_eq!(catalog.problems(), []);
    // What holds no disk image is no recovery point.
    assert_eq!(
        ids(&catalog),
        [
            format!("2026-11-20T02-00-00Z-{first}"),
            format!("2026-11-20T02-00-00Z-{second}")
        ]
    );
    let (by_host, by_tag) = (&points[0], &points[1]);
    assert_eq!((by_host.vm.as_str(), by_tag.vm.as_str()), ("kvm1", "web01"));
    assert_eq!(by_tag.time, "2026-11-20T02:00:00Z".parse().unwrap());
    assert_eq!(by_host.consistency, Consistency::Crash);
    assert_eq!(by_tag.consistency, Consistency::Application);
    assert_eq!(by_tag.os.as_deref(), Some("Debian 12"));
    assert_eq!(by_tag.source, bed.repository().to_string_lossy());
    for point in &points {
        assert_eq!(disks(point), ["disk2.img", "disk10.raw"]);
        assert_eq!(point.problems, []);
        let opened = catalog.open_disks(point).unwrap();
        assert_eq!(opened.len(), 2);
    }
}

#[test]
fn point_toml_in_the_snapshot_decides() {
    let bed = Bed::new(2);
    bed.write("a/system", content(8192, 1));
    bed.write("a/data.raw", content(8192, 2));
    bed.write("a/left-out.raw", content(8192, 3));
    bed.write("b/other.raw", content(8192, 4));
    bed.write(
        "a/point.toml",
        "time = 2026-11-19T01:00:00+01:00\nconsistency = 'file-system'\nos = 'Debian'\n\
         [[disk]]\nfile = 'system'\nname = 'C:'\nformat = 'raw'\n[[disk]]\nfile = 'data.raw'\nsector_size = 4096\n",
    );
    bed.backup("02:00:00", &[]);
    let catalog = bed.catalog();
    let point = bed.point(&catalog);
    assert_eq!(disks(&point), ["C:", "data.raw"]);
    assert_eq!(point.time, "2026-11-19T00:00:00Z".parse().unwrap());
    assert!(
        point.id.starts_with("2026-11-20T02-00-00Z-"),
        "{}",
        point.id
    );
    assert_eq!(point.consistency, Consistency::FileSystem);
    assert_eq!(point.ignored[0].reason, "not listed in point.toml");
    let opened = catalog.open_disks(&point).unwrap();
    assert_eq!(opened[1].info().sector_size, 4096);

    bed.write("a/point.toml", "[[disk]]\nfile = 'system'\nforamt = 'raw'");
    bed.backup("04:00:00", &[]);
    let catalog = bed.catalog();
    let point = bed.point(&catalog);
    let error = catalog.open_disks(&point).unwrap_err().to_string();
    assert!(error.contains("foramt"), "{error}");
}

#[test]
fn tags_name_disks_that_look_like_none() {
    let bed = Bed::new(2);
    bed.write("lv/root", content(8192, 1));
    bed.write("lv/data.raw", content(8192, 2));
    let tags = ["--tag", "disk0=root,disk1=data.raw,consistency=perfect"];
    bed.backup("02:00:00", &tags);
    let catalog = bed.catalog();
    let point = bed.point(&catalog);
    assert_eq!(disks(&point), ["root", "data.raw"]);
    assert!(
        point.problems[0].reason.contains("consistency=perfect"),
        "{:?}",
        point.problems
    );
    // It is looked for at the root: the name alone does for images only.
    let error = catalog.open_disks(&point).unwrap_err().to_string();
    assert!(
        error.contains("root") && error.contains("does not exist"),
        "{error}"
    );
    bed.backup("03:00:00", &["--tag", "disk0=lv/root,disk1=data.raw"]);
    let opened = bed.open().unwrap();
    assert_eq!(opened.len(), 2);
    assert_eq!(opened[0].info().name, "root");
}
