//! Verification: sums as `sha256sum` has them, and what is damaged, by range and file.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use itemlift::point::{CatalogError, PointRef};
use itemlift::verify::{Damaged, DiskDone, Event, Finished, Plan, Verification, Verifies};

use crate::source::{Source, VM, content, qemu_img, qemu_io, run};

const MIB: usize = 1 << 20;

/// All that a verification told, but how far it was.
#[derive(Debug)]
struct Told {
    damage: Vec<Damaged>,
    disks: Vec<DiskDone>,
    finished: Finished,
}

fn plan(source: &Source, disk: Option<&str>) -> Result<Plan, CatalogError> {
    let catalog = source.catalog();
    let point = catalog.find(VM, &PointRef::Latest).unwrap();
    let opened = catalog.open_each(&point, &Plan::cache()).unwrap();
    Plan::new(point, opened, disk)
}

fn verify(source: &Source) -> Told {
    carry_out(plan(source, None).unwrap())
}

fn carry_out(plan: Plan) -> Told {
    let place = Verifies::default().place().unwrap();
    let mut verification =
        Verification::begin(plan, place, |_, complete| assert!(complete)).unwrap();
    let (mut damage, mut disks, mut finished) = (Vec::new(), Vec::new(), None);
    while let Some(event) = verification.events.blocking_recv() {
        match event {
            Event::Damaged(damaged) => damage.push(damaged),
            Event::Disk(disk) => disks.push(disk),
            Event::Finished(event) => finished = Some(event),
            Event::Started(_) | Event::Progress(_) => {}
        }
    }
    Told {
        damage,
        disks,
        finished: finished.unwrap(),
    }
}

/// `qemu-img convert -O raw … | sha256sum`.
fn sha256(source: &Source, image: &str, format: &str) -> String {
    let raw = tempfile::NamedTempFile::new().unwrap();
    let path = raw.path().to_str().unwrap();
    qemu_img(
        source,
        &format!("convert -f {format} -O raw {image} {path}"),
    );
    let sum = run("sha256sum", &[path], source.root());
    sum.split(' ').next().unwrap().to_owned()
}

fn overwrite(source: &Source, name: &str, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(source.file(name));
    file.unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn sums_are_those_of_the_raw_disks() {
    let source = Source::new();
    // Three MiB and a sector: the last piece is short.
    source.write("content.raw", content(3 * MIB + 512, 61));
    for (format, options, name) in [
        ("qcow2", "-c", "a.qcow2"),
        ("vhdx", "", "b.vhdx"),
        ("vmdk", "-o subformat=streamOptimized", "c.vmdk"),
    ] {
        let options = format!("convert -f raw -O {format} {options} content.raw {name}");
        qemu_img(&source, &options.replace("  ", " "));
    }
    qemu_img(&source, "create -q -f qcow2 -b a.qcow2 -F qcow2 top.qcow2");
    qemu_io(&source, "top.qcow2", &["write -P 9 1M 70k"]);
    let hole = fs::File::create(source.file("hole.raw")).unwrap();
    hole.set_len(40 << 20).unwrap();
    hole.write_all_at(&[5; 3000], 7_000_000).unwrap();
    let told = verify(&source);
    let expected: Vec<(String, Option<String>)> = [
        ("b.vhdx", "vhdx"),
        ("c.vmdk", "vmdk"),
        ("content.raw", "raw"),
        ("hole.raw", "raw"),
        ("top.qcow2", "qcow2"),
    ]
    .map(|(name, format)| (name.to_owned(), Some(sha256(&source, name, format))))
    .to_vec();
    let sums: Vec<(String, Option<String>)> = told
        .disks
        .iter()
        .map(|disk| (disk.disk.clone(), disk.sha256.clone()))
        .collect();
    assert_eq!(sums, expected);
    assert!(told.damage.is_empty(), "{:?}", told.damage);
    assert_eq!((told.finished.disks, told.finished.damages), (5, 0));
    let sizes: u64 = told.disks.iter().filter_map(|disk| disk.size).sum();
    assert_eq!(told.finished.bytes_read, sizes);
}

#[test]
fn damage_is_told_by_range_and_file_and_the_other_disks_go_on() {
    let source = Source::new();
    let expected = content(4 * MIB, 62);
    source.write("content", &expected);
    qemu_img(&source, "convert -f raw -O qcow2 content base.qcow2");
    fs::remove_file(source.file("content")).unwrap();
    qemu_img(
        &source,
        "create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2",
    );
    source.write("good.raw", &expected);
    source.write("lost.qcow2", b"QFI\xfb and nothing else");
    // Reserved bits in the entries of clusters 3, 4 and 9 of the base: clusters of 64 KiB.
    let image = fs::read(source.file("base.qcow2")).unwrap();
    let word = |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    let l2 = word(word(40) as usize) & 0x00ff_ffff_ffff_fe00;
    for cluster in [3, 4, 9] {
        overwrite(&source, "base.qcow2", l2 + cluster * 8 + 7, &[2]);
    }
    let told = verify(&source);
    // What `top.qcow2` is made upon is no disk, though it is not known what `lost.qcow2` is made upon.
    let names: Vec<&str> = told.disks.iter().map(|disk| disk.disk.as_str()).collect();
    assert_eq!(names, ["good.raw", "lost.qcow2", "top.qcow2"]);
    let of = |name: &str| -> Vec<&Damaged> {
        told.damage
            .iter()
            .filter(|damaged| damaged.disk == name)
            .collect()
    };
    let top = of("top.qcow2");
    let ranges: Vec<_> = top
        .iter()
        .map(|damaged| (damaged.offset, damaged.bytes, damaged.lba, damaged.blocks))
        .collect();
    assert_eq!(
        ranges,
        [
            (Some(196_608), Some(131_072), Some(384), Some(256)),
            (Some(589_824), Some(65_536), Some(1152), Some(128)),
        ]
    );
    for damaged in &top {
        assert!(damaged.file.ends_with("base.qcow2"), "{damaged:?}");
        assert!(damaged.reason.contains("L2 entry"), "{damaged:?}");
    }
    let lost = of("lost.qcow2");
    assert_eq!((lost.len(), lost[0].offset), (1, None));
    assert!(lost[0].file.ends_with("lost.qcow2"), "{lost:?}");
    let done = |name: &str| told.disks.iter().find(|disk| disk.disk == name).unwrap();
    assert_eq!(
        done("good.raw").sha256,
        Some(sha256(&source, "good.raw", "raw"))
    );
    assert_eq!(done("good.raw").damages, 0);
    assert_eq!(
        (&done("top.qcow2").sha256, done("top.qcow2").damaged_bytes),
        (&None, 196_608)
    );
    assert_eq!(
        (&done("lost.qcow2").sha256, done("lost.qcow2").damages),
        (&None, 1)
    );
    assert_eq!(told.finished.damaged_disks, 2);
}

/// Every second cluster of 512 bytes: more ranges than are listed.
#[test]
fn no_more_is_listed_than_the_limit() {
    let source = Source::new();
    source.write("content", vec![7; 2 * MIB]);
    qemu_img(
        &source,
        "convert -f raw -O qcow2 -o cluster_size=512 content disk.qcow2",
    );
    fs::remove_file(source.file("content")).unwrap();
    let mut image = fs::read(source.file("disk.qcow2")).unwrap();
    let word = |image: &[u8], at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    let l1 = word(&image, 40) as usize;
    for table in 0..2 * MIB / 512 / 64 {
        let l2 = (word(&image, l1 + table * 8) & 0x00ff_ffff_ffff_fe00) as usize;
        for entry in (0..64).step_by(2) {
            image[l2 + entry * 8 + 7] |= 2;
        }
    }
    source.write("disk.qcow2", image);
    let told = verify(&source);
    assert_eq!(told.damage.len(), 1000);
    let Finished {
        damages,
        not_listed,
        ..
    } = told.finished;
    assert_eq!((damages, not_listed), (2048, 1048));
    assert_eq!(told.disks[0].damaged_bytes, MIB as u64);
}

#[test]
fn one_disk_alone() {
    let source = Source::new();
    source.write("a.raw", content(MIB, 63));
    source.write("b.raw", content(MIB, 64));
    let told = carry_out(plan(&source, Some("b.raw")).unwrap());
    assert_eq!(told.disks.len(), 1);
    assert_eq!(told.disks[0].sha256, Some(sha256(&source, "b.raw", "raw")));
    let error = plan(&source, Some("c.raw")).unwrap_err().to_string();
    assert!(error.contains("\"c.raw\""), "{error}");
}

/// A file that lost its end after it was opened, and a device that gives I/O errors, look alike to a reader: here the first.
#[test]
fn gigabytes_of_damage_take_a_bounded_number_of_reads() {
    let source = Source::new();
    let file = fs::File::create(source.file("disk.raw")).unwrap();
    file.set_len(64 << 30).unwrap();
    let plan = plan(&source, None).unwrap();
    file.set_len(1 << 20).unwrap();
    let told = carry_out(plan);
    assert_eq!(
        told.disks[0].damaged_bytes,
        64 << 30,
        "changed while it is read"
    );
    assert_eq!(told.damage.len(), 2, "{:?}", told.damage);
    assert_eq!(told.damage[0].offset, Some(0));
}

#[test]
fn whoever_goes_away_ends_it_and_gives_the_place_back() {
    let source = Source::new();
    let file = fs::File::create(source.file("disk.raw")).unwrap();
    file.set_len(4 << 40).unwrap();
    let verifies = Verifies::default();
    let (told, end) = std::sync::mpsc::channel();
    let place = verifies.place().unwrap();
    let second = verifies.place().unwrap();
    assert!(verifies.place().is_none(), "two at one time");
    drop(second);
    let mut verification =
        Verification::begin(plan(&source, None).unwrap(), place, move |_, complete| {
            told.send(complete).unwrap();
        })
        .unwrap();
    assert!(matches!(
        verification.events.blocking_recv(),
        Some(Event::Started(_))
    ));
    while verification.progress().done == 0 {
        std::thread::yield_now();
    }
    assert_eq!(verification.progress().bytes, 4 << 40);
    drop(verification);
    assert!(
        !end.recv_timeout(std::time::Duration::from_secs(20))
            .unwrap()
    );
}
