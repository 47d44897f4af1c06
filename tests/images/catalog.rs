//! What the catalog makes of a folder tree.

use std::fs;

use itemlift::point::{Catalog, CatalogError, Consistency, Filter, PointRef, SourceConfig};

use crate::source::{POINT, Source, VM, add, names};

fn ids(catalog: &Catalog, filter: &Filter) -> Vec<String> {
    catalog
        .list(filter)
        .iter()
        .map(|point| point.id.clone())
        .collect()
}

#[test]
fn disks_are_in_the_order_that_people_expect_and_other_files_are_left_out() {
    let source = Source::new();
    for name in [
        "disk10.raw",
        "disk2.raw",
        "disk1.qcow2",
        "disk2.raw.sha256",
        "SHA256SUMS",
        "notes.txt",
        ".hidden",
        "copy.part",
    ] {
        source.write(name, "x");
    }
    fs::create_dir(source.file("folder")).unwrap();
    let point = source.point();
    assert_eq!(names(&point), ["disk1.qcow2", "disk2.raw", "disk10.raw"]);
    assert_eq!(point.consistency, Consistency::Crash);
    assert_eq!(point.time, "2026-11-20T02:00:00Z".parse().unwrap());
    let ignored: Vec<(&str, &str)> = point
        .ignored
        .iter()
        .map(|ignored| {
            (
                ignored.path.file_name().unwrap().to_str().unwrap(),
                ignored.reason,
            )
        })
        .collect();
    assert_eq!(
        ignored,
        [
            (".hidden", "hidden"),
            ("SHA256SUMS", "text"),
            ("copy.part", "unfinished copy or temporary file"),
            ("disk2.raw.sha256", "checksum or signature"),
            ("folder", "a folder"),
            ("notes.txt", "text"),
        ]
    );
    assert_eq!(point.problems, []);
}

#[test]
fn point_toml_decides() {
    let source = Source::new();
    source.write("a.raw", "x");
    source.write("b.raw", "x");
    source.write("c.raw", "x");
    source.write(
        "point.toml",
        "time = 2026-11-19T01:00:00+01:00\nconsistency = 'file-system'\nos = 'Debian'\n\
        [[disk]]\nfile = 'c.raw'\nname = 'system'\n[[disk]]\nfile = 'a.raw'\nsector_size = 4096\n",
    );
    let point = source.point();
    assert_eq!(names(&point), ["system", "a.raw"]);
    assert_eq!(
        (point.disks[0].sector_size, point.disks[1].sector_size),
        (None, Some(4096))
    );
    assert_eq!(point.time, "2026-11-19T00:00:00Z".parse().unwrap());
    assert_eq!(
        (point.consistency, point.os.as_deref()),
        (Consistency::FileSystem, Some("Debian"))
    );
    assert_eq!(point.ignored[0].reason, "not listed in point.toml");
}

#[test]
fn a_point_toml_that_is_wrong_makes_the_point_unusable_and_says_why() {
    for (toml, word) in [
        ("disks = 3", "disks"),
        ("[[disk]]\nfile = 'a.raw'\nforamt = 'raw'", "foramt"),
        (
            "[[disk]]\nfile = 'a.raw'\n[[disk]]\nfile = 'b.raw'\nname = 'a.raw'",
            "two disks have the name",
        ),
        ("time = 'never'", "time must be"),
        ("\0\u{1}", "not valid"),
        (&"#".repeat(300_000), "larger than"),
        (
            &(0..256)
                .map(|n| format!("[[disk]]\nfile = 'd{n}'\n"))
                .collect::<String>(),
            "256 disks",
        ),
    ] {
        let source = Source::new();
        source.write("a.raw", [0; 512]);
        source.write("point.toml", toml);
        let refusal = source.refusal();
        assert!(refusal.contains(word), "{refusal}");
        assert_eq!(
            source.catalog().list(&Filter::default()).len(),
            1,
            "it is listed all the same"
        );
    }
    let source = Source::new();
    source.write("point.toml", b"os = '\xff'");
    assert!(source.refusal().contains("UTF-8"));
    let source = Source::new();
    assert!(source.refusal().contains("no disk images"));
    source.write("a.raw", [0; 512]);
    source.write(
        "point.toml",
        "[[disk]]\nfile = 'a.raw'\n[[disk]]\nfile = 'gone.raw'\n",
    );
    assert!(source.refusal().contains("does not exist"));
    assert!(source.point().problems[0].reason.contains("no such file"));
}

#[test]
fn two_points_of_one_time_are_told_apart() {
    let source = Source::new();
    add(&source, "vm/20261120T020000Z", &[("disk.raw", "x")]);
    add(
        &source,
        "vm/manual",
        &[
            ("disk.raw", "x"),
            ("point.toml", "time = 2026-11-20T02:00:00Z"),
        ],
    );
    add(&source, "vm/2026-11-19", &[("disk.raw", "x")]);
    source.write("disk.raw", "x");
    let catalog = source.catalog();
    assert_eq!(
        ids(&catalog, &Filter::default()),
        ["manual", "20261120T020000Z", POINT, "2026-11-19"]
    );
    let refusal = catalog.find(VM, &PointRef::from("latest")).unwrap_err();
    assert!(
        matches!(refusal, CatalogError::TwoNewest { .. }),
        "{refusal}"
    );
    assert!(refusal.to_string().contains("manual"), "{refusal}");
    assert_eq!(catalog.find(VM, &PointRef::from(POINT)).unwrap().id, POINT);
}

#[test]
fn filters() {
    let source = Source::new();
    add(&source, "a/2026-11-01T00-00-00Z", &[("d.raw", "x")]);
    add(
        &source,
        "a/2026-11-02T00-00-00Z",
        &[
            ("d.raw", "x"),
            ("point.toml", "consistency = 'application'"),
        ],
    );
    add(&source, "b/2026-11-03T00-00-00Z", &[("d.raw", "x")]);
    let catalog = source.catalog();
    let time = |text: &str| Some(text.parse().unwrap());
    let all = Filter {
        until: time("2026-11-10T00:00:00Z"),
        ..Filter::default()
    };
    assert_eq!(ids(&catalog, &all).len(), 3);
    let since = Filter {
        since: time("2026-11-02T00:00:00Z"),
        ..all.clone()
    };
    assert_eq!(
        ids(&catalog, &since),
        ["2026-11-02T00-00-00Z", "2026-11-03T00-00-00Z"]
    );
    let until = Filter {
        until: time("2026-11-01T23:59:59Z"),
        ..all.clone()
    };
    assert_eq!(ids(&catalog, &until), ["2026-11-01T00-00-00Z"]);
    let vm = Filter {
        vm: Some("a".to_owned()),
        ..all.clone()
    };
    assert_eq!(
        ids(&catalog, &vm),
        ["2026-11-02T00-00-00Z", "2026-11-01T00-00-00Z"]
    );
    let consistency = Filter {
        consistency: Some(Consistency::Application),
        ..all
    };
    assert_eq!(ids(&catalog, &consistency), ["2026-11-02T00-00-00Z"]);
}

#[test]
fn what_does_not_exist_is_said_so() {
    let source = Source::new();
    source.write("disk.raw", "x");
    let catalog = source.catalog();
    assert!(matches!(
        catalog.find("nobody", &PointRef::Latest),
        Err(CatalogError::UnknownVm { .. })
    ));
    assert!(matches!(
        catalog.find(VM, &PointRef::from("1999-01-01")),
        Err(CatalogError::UnknownPoint { .. })
    ));
}

#[test]
fn the_same_point_in_two_sources_is_not_guessed() {
    let (one, two) = (Source::new(), Source::new());
    one.write("disk.raw", "x");
    two.write("disk.raw", "y");
    let config = |source: &Source| SourceConfig::Images {
        path: source.root().to_owned(),
    };
    let catalog = Catalog::open(&[config(&one), config(&two)]).unwrap();
    assert_eq!(catalog.list(&Filter::default()).len(), 2);
    assert!(matches!(
        catalog.find(VM, &PointRef::Latest),
        Err(CatalogError::Ambiguous { .. })
    ));
    let twice = Catalog::open(&[config(&one), config(&one)]);
    assert!(matches!(twice, Err(CatalogError::DuplicateSource(_))));
}

#[test]
fn one_disk_opens_whatever_became_of_the_others() {
    let source = Source::new();
    source.write("bad.raw", [7; 100]);
    source.write("good.raw", [7; 512]);
    let (catalog, point) = (source.catalog(), source.point());
    assert!(catalog.open_disks(&point).is_err());
    assert_eq!(
        catalog.open_disk(&point, "good.raw").unwrap().info().size,
        512
    );
    assert!(matches!(
        catalog.open_disk(&point, "bad.raw"),
        Err(CatalogError::Open(_))
    ));
    let gone = catalog.open_disk(&point, "gone.raw");
    assert!(matches!(gone, Err(CatalogError::UnknownDisk { .. })));
}

#[test]
fn configuration() {
    let config: SourceConfig = toml::from_str("kind = 'images'\npath = '/srv/backups'").unwrap();
    assert_eq!(
        config,
        SourceConfig::Images {
            path: "/srv/backups".into()
        }
    );
    for text in [
        "kind = 'images'\npath = '/srv'\npaht = 1",
        "kind = 'tapes'\npath = '/srv'",
        "path = '/srv'",
        "kind = 'images'",
    ] {
        assert!(toml::from_str::<SourceConfig>(text).is_err(), "{text}");
    }
}
