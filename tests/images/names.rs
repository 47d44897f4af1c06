//! Names that are meant to hurt: each is listed or explained, and none breaks anything.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use itemlift::point::PointRef;

use crate::source::{POINT, Source, VM, add, names};

#[test]
fn names_that_are_meant_to_hurt() {
    let source = Source::new();
    let hurtful = "$(rm -rf ~);`id`\n\"' & *\u{202e}\t\\";
    add(
        &source,
        &format!("{hurtful}/{POINT}"),
        &[("disk\n1.raw", "x")],
    );
    add(
        &source,
        &format!("{}/{POINT}", "v".repeat(255)),
        &[(&"d".repeat(255), "x")],
    );
    add(
        &source,
        "vm/latest",
        &[
            ("disk.raw", "x"),
            ("point.toml", "time = 2026-11-20T02:00:00Z"),
        ],
    );
    add(&source, "vm/yesterday", &[("disk.raw", "x")]);
    fs::create_dir(source.root().join(OsStr::from_bytes(b"vm\xff"))).unwrap();
    fs::create_dir(source.root().join(VM).join(OsStr::from_bytes(b"2026\xff"))).unwrap();
    source.write("disk.raw", "x");
    fs::write(
        source
            .root()
            .join(VM)
            .join(POINT)
            .join(OsStr::from_bytes(b"disk\xff.raw")),
        "x",
    )
    .unwrap();
    symlink("/etc", source.root().join("outside")).unwrap();
    symlink("nowhere", source.root().join("dangling")).unwrap();
    symlink("loop", source.root().join("loop")).unwrap();
    symlink(POINT, source.root().join("vm/newest")).unwrap();
    symlink("/etc", source.root().join("vm/2026-01-01")).unwrap();
    fs::write(source.root().join("loose.qcow2"), "x").unwrap();

    let catalog = source.catalog();
    let point = catalog.find(hurtful, &PointRef::Latest).unwrap();
    assert_eq!(names(&point), ["disk\n1.raw"]);
    assert_eq!(
        catalog
            .find(&"v".repeat(255), &PointRef::Latest)
            .unwrap()
            .disks[0]
            .name
            .len(),
        255
    );
    let point = catalog.find(VM, &PointRef::Latest).unwrap();
    assert_eq!(
        (point.id.as_str(), names(&point).len(), point.problems.len()),
        (POINT, 1, 1)
    );
    assert!(point.problems[0].reason.contains("UTF-8"));

    let problems = catalog.problems();
    let reason = |path: &[u8]| {
        let path = Path::new(OsStr::from_bytes(path));
        let found = problems.iter().find(|problem| problem.problem.path == path);
        found
            .unwrap_or_else(|| panic!("no problem at {path:?}: {problems:#?}"))
            .problem
            .to_string()
    };
    assert!(reason(b"vm\xff").contains("UTF-8"));
    assert!(reason(b"vm/2026\xff").contains("UTF-8"));
    assert!(reason(b"vm/latest").contains("newest"));
    assert!(reason(b"vm/yesterday").contains("no time"));
    assert!(reason(b"outside").contains("out of the source"));
    assert!(reason(b"vm/2026-01-01").contains("out of the source"));
    assert!(reason(b"dangling").contains("does not exist"));
    assert!(reason(b"loop").contains("cannot be read"));
    assert!(reason(b"loose.qcow2").contains("VM/POINT/"));
    assert!(
        !problems
            .iter()
            .any(|problem| problem.problem.path.ends_with("newest"))
    );
}
