//! What the catalog makes of a folder tree.

use std::fs;

use itemlift::point::{
    Catalog, CatalogError, Consistency, Filter, OpenedDisk, PointRef, SourceConfig,
};

use crate::source::{POINT, Source, VM, add, names, qemu_img};

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

/// Each LUN of the newest point: its name if it is served, else what is wrong.
fn luns(source: &Source) -> Result<Vec<Result<String, String>>, String> {
    let (catalog, point) = (source.catalog(), source.point());
    let opened = catalog
        .open_luns(&point)
        .map_err(|error| error.to_string())?;
    let lun = |opened: OpenedDisk| match opened.disk {
        Ok(disk) => Ok(disk.info().name.clone()),
        Err(error) => Err(error.to_string()),
    };
    Ok(opened.into_iter().map(lun).collect())
}

#[test]
fn a_damaged_disk_keeps_nobody_from_the_others() {
    let source = Source::new();
    source.write("a.raw", [7; 512]);
    // A copy that was cut.
    source.write("b.raw", [7; 700]);
    qemu_img(&source, "create -q -f qcow2 c.qcow2 1M");
    let served = luns(&source).unwrap();
    assert_eq!(served[0], Ok("a.raw".to_owned()));
    let damage = served[1].as_ref().unwrap_err();
    assert!(
        damage.contains("b.raw") && damage.contains("700"),
        "{damage}"
    );
    assert_eq!(served[2], Ok("c.qcow2".to_owned()), "it keeps its place");

    // Nobody says whether the others are not what the damaged one is based on: an older state of it.
    let good = fs::read(source.file("c.qcow2")).unwrap();
    let mut bad = good.clone();
    bad[0] ^= 1;
    source.write("c.qcow2", &bad);
    source.write("b.raw", [7; 1024]);
    let refused = luns(&source).unwrap_err();
    assert!(
        refused.contains("c.qcow2") && refused.contains("[[disk]]"),
        "{refused}"
    );
    source.write(
        "point.toml",
        "[[disk]]\nfile = 'c.qcow2'\n[[disk]]\nfile = 'a.raw'\n[[disk]]\nfile = 'b.raw'\n",
    );
    let served = luns(&source).unwrap();
    assert!(
        served[0].as_ref().unwrap_err().contains("c.qcow2"),
        "{served:?}"
    );
    assert_eq!(
        served[1..],
        ["a.raw", "b.raw"].map(|name| Ok(name.to_owned()))
    );

    // What the operator can put right is put right first.
    source.write("a.raw", &good);
    let refused = luns(&source).unwrap_err();
    assert!(
        refused.contains("a.raw") && refused.contains("format"),
        "{refused}"
    );
    // And of nothing there is no grant.
    source.write("a.raw", []);
    source.write("b.raw", []);
    assert!(luns(&source).unwrap_err().contains("c.qcow2"));
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
