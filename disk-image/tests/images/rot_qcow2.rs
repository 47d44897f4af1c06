//! Every byte of a qcow2 image's header and tables.

use std::process::Command;

use crate::rot::{BITS, Outcome, Rot, SOME, field_at, flaws};
use crate::source::{Source, content, qemu_img, qemu_io};

const BYTES: usize = 96 * 1024;

/// By where they begin (QEMU `docs/interop/qcow2.txt`, "Header").
const HEADER: [(usize, &str); 19] = [
    (0, "magic"),
    (4, "version"),
    (8, "backing file offset"),
    (16, "backing file name length"),
    (20, "cluster bits"),
    (24, "size"),
    (32, "encryption"),
    (36, "L1 entries"),
    (40, "L1 offset"),
    (48, "refcount table offset"),
    (56, "refcount table clusters"),
    (60, "snapshots"),
    (64, "snapshot table offset"),
    (72, "incompatible features"),
    (80, "compatible features"),
    (88, "autoclear features"),
    (96, "refcount order"),
    (100, "header length"),
    (104, "compression type"),
];

fn be64(file: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(file[at..at + 8].try_into().unwrap())
}

/// Where the tables stand that a header leads to.
struct Tables {
    l1: (usize, usize),
    l2: Vec<usize>,
    refcount_table: usize,
    refcount_block: usize,
}

fn tables(file: &[u8]) -> Tables {
    let l1_entries = u32::from_be_bytes(file[36..40].try_into().unwrap()) as usize;
    let l1 = be64(file, 40) as usize;
    let l2 = (0..l1_entries).map(|index| be64(file, l1 + index * 8) & 0x00ff_ffff_ffff_fe00);
    let refcount_table = be64(file, 48) as usize;
    Tables {
        l1: (l1, l1_entries * 8),
        l2: l2.filter(|at| *at != 0).map(|at| at as usize).collect(),
        refcount_table,
        refcount_block: be64(file, refcount_table) as usize,
    }
}

/// Small clusters, so that all of it can be changed.
fn image(options: &str) -> (Source, Vec<u8>, Tables) {
    let source = Source::new();
    let expected = content(BYTES, 71);
    source.convert(&expected, &format!("-O qcow2 {options}"), "disk.qcow2");
    let tables = tables(&source.read("disk.qcow2"));
    (source, expected, tables)
}

fn rot<'a>(source: &'a Source, expected: &'a [u8]) -> Rot<'a> {
    Rot {
        source,
        disk: "disk.qcow2",
        file: "disk.qcow2",
        expected,
    }
}

#[test]
fn headers() {
    for options in [
        "-o cluster_size=512",
        "-o cluster_size=4k -c",
        "-o compat=0.10",
    ] {
        let (source, expected, _) = image(options);
        let outcomes = rot(&source, &expected).at(0..112, &BITS, |at| field_at(&HEADER, at));
        // No field has a checksum: a size that fits the L1 table is a size.
        assert_eq!(outcomes.of(Outcome::Wrong), ["size"], "{options}");
    }
}

#[test]
fn indexes() {
    for options in ["-o cluster_size=512", "-o cluster_size=4k"] {
        let (source, expected, tables) = image(options);
        let rot = rot(&source, &expected);
        let (l1, l1_bytes) = tables.l1;
        let outcomes = rot.at(l1..l1 + l1_bytes, &BITS, |_| "L1 entry");
        assert_eq!(outcomes.of(Outcome::Wrong), [""; 0], "{options}");
        // The lowest bit says that a cluster is zero, whatever stands in it.
        let l2 = tables.l2[0];
        let field = |at: usize| match at % 8 {
            7 => "L2 entry's last byte",
            _ => "L2 entry",
        };
        let outcomes = rot.at(l2..l2 + 256, &BITS, field);
        assert_eq!(
            outcomes.of(Outcome::Wrong),
            ["L2 entry's last byte"],
            "{options}"
        );
        let outcomes = rot.at(
            (l2 + 7..l2 + 256).step_by(8),
            &BITS[1..],
            |_| "not the zero flag",
        );
        assert_eq!(outcomes.of(Outcome::Wrong), [""; 0], "{options}");
    }
}

/// Reads need none of it: data is right, and the check tells.
#[test]
fn refcounts() {
    for options in [
        "-o cluster_size=512",
        "-o cluster_size=4k,refcount_bits=1",
        "-o compat=0.10",
    ] {
        let (source, expected, tables) = image(options);
        let rot = rot(&source, &expected);
        let table = tables.refcount_table;
        let outcomes = rot.at(table..table + 8, &BITS, |_| "refcount table entry");
        assert_eq!(outcomes.of(Outcome::Right), [""; 0], "{options}");
        assert_eq!(outcomes.of(Outcome::RightAndTold), ["refcount table entry"]);
        // The counts of the first clusters, which are all in use: 16 bits each, or one.
        let (block, bytes) = (
            tables.refcount_block,
            if options.contains("=1") { 1 } else { 8 },
        );
        let outcomes = rot.at(block..block + bytes, &BITS, |_| "refcount");
        println!("{options}: {outcomes:?}");
        assert_eq!(
            outcomes.of(Outcome::RightAndTold),
            ["refcount"],
            "{options}"
        );
        assert_eq!(outcomes.of(Outcome::Wrong), [""; 0], "{options}");
    }
}

/// Deflate streams of qcow2 have no checksum: what decompresses to a whole cluster is taken.
#[test]
fn compressed_clusters() {
    let (source, expected, tables) = image("-o cluster_size=4k -c");
    let rot = rot(&source, &expected);
    let l2 = tables.l2[0];
    let outcomes = rot.at(l2..l2 + 64, &BITS, |_| "L2 entry of a compressed cluster");
    let wrong = outcomes.of(Outcome::Wrong);
    assert!(
        !outcomes.of(Outcome::Unreadable).is_empty() && wrong.len() <= 1,
        "{outcomes:?}"
    );
    let file = source.read("disk.qcow2");
    let entry = be64(&file, l2) & 0x00ff_ffff_ffff_ffff;
    let data = (entry & ((1 << (62 - 4)) - 1)) as usize;
    let outcomes = rot.at((data..data + 600).step_by(7), &SOME, |_| "compressed data");
    assert!(!outcomes.of(Outcome::Unreadable).is_empty(), "{outcomes:?}");
    assert_eq!(outcomes.of(Outcome::Refused), [""; 0]);
}

/// What the table of snapshots holds does not concern the current state.
#[test]
fn snapshot_tables() {
    let (source, expected, _) = image("-o cluster_size=4k");
    qemu_img(&source, "snapshot -c one disk.qcow2");
    let table = be64(&source.read("disk.qcow2"), 64) as usize;
    let outcomes = rot(&source, &expected).at(table..table + 64, &SOME, |_| "snapshot table");
    assert_eq!(outcomes.of(Outcome::Wrong), [""; 0]);
    assert_eq!(outcomes.of(Outcome::Unreadable), [""; 0]);
    assert_eq!(outcomes.of(Outcome::Refused), [""; 0]);
}

fn qemu_finds_no_fault(source: &Source, image: &str) -> bool {
    let check = Command::new("qemu-img")
        .args(["check", "-q", "-f", "qcow2", image])
        .current_dir(source.file(""))
        .output()
        .unwrap();
    // 3: clusters that nobody uses, which is no damage.
    matches!(check.status.code(), Some(0 | 3))
}

/// Images that are as they should be, of every kind that QEMU makes: nothing is told, as by `qemu-img check`.
#[test]
fn good_images_have_no_flaws() {
    for options in [
        "-o compat=0.10",
        "-o cluster_size=512",
        "-o cluster_size=2M",
        "-o refcount_bits=1",
        "-o refcount_bits=2",
        "-o refcount_bits=8",
        "-o refcount_bits=64",
        "-o lazy_refcounts=on",
        "-o preallocation=full",
        "-o preallocation=metadata",
        "-o extended_l2=on,cluster_size=16k",
        "-c",
        "-c -o compression_type=zstd,cluster_size=4k",
        "-o data_file=data.bin",
    ] {
        let source = Source::new();
        source.convert(
            &content(1 << 20, 72),
            &format!("-O qcow2 {options}"),
            "disk.qcow2",
        );
        assert!(qemu_finds_no_fault(&source, "disk.qcow2"), "{options}");
        assert_eq!(flaws(&source.disk("disk.qcow2")), [], "{options}");
        if options.contains("refcount_bits=1") || options.contains("data_file") {
            continue;
        }
        qemu_img(&source, "snapshot -c one disk.qcow2");
        qemu_io(
            &source,
            "disk.qcow2",
            &[
                "write -P 7 64k 300k",
                "write -z 512k 64k",
                "discard 640k 128k",
            ],
        );
        qemu_img(&source, "snapshot -c two disk.qcow2");
        qemu_io(&source, "disk.qcow2", &["write -P 8 0 1M"]);
        assert!(qemu_finds_no_fault(&source, "disk.qcow2"), "{options}");
        assert_eq!(
            flaws(&source.disk("disk.qcow2")),
            [],
            "{options} with snapshots"
        );
        for snapshot in ["1", "2"] {
            let disk = source.open_at("disk.qcow2", snapshot).unwrap();
            assert_eq!(flaws(&disk), [], "{options}, snapshot {snapshot}");
        }
        qemu_img(&source, "snapshot -d one disk.qcow2");
        assert_eq!(
            flaws(&source.disk("disk.qcow2")),
            [],
            "{options}, one snapshot less"
        );
    }
}

/// Whatever is told of an image whose tables are damaged, `qemu-img check` finds fault with it too.
#[test]
fn no_alarm_is_false() {
    let (source, _, tables) = image("-o cluster_size=4k");
    let good = source.read("disk.qcow2");
    let mut told = 0;
    let places = [
        tables.l1.0,
        tables.l2[0],
        tables.refcount_table,
        tables.refcount_block,
    ];
    for place in places.iter().flat_map(|at| *at..at + 16) {
        for way in [1, 16, 0x80] {
            let mut file = good.clone();
            file[place] ^= way;
            source.write("disk.qcow2", &file);
            let Ok(disk) = source.open("disk.qcow2") else {
                continue;
            };
            if !flaws(&disk).is_empty() {
                told += 1;
                assert!(
                    !qemu_finds_no_fault(&source, "disk.qcow2"),
                    "byte {place}, {way:#x}"
                );
            }
        }
    }
    assert!(told > 40, "{told}");
}
