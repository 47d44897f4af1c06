//! Every kind of byte of a VMDK.

use crate::rot::{BITS, Outcome, Rot, SOME, field_at, flaws};
use crate::source::{Source, content, qemu_img, qemu_io};
use crate::vmdk_writer::{cowd, descriptor};

const BYTES: usize = 1 << 20;

/// By where they begin (VMware "Virtual Disk Format" 5.0, "Hosted Sparse Extent Header").
const HEADER: [(usize, &str); 15] = [
    (0, "magic"),
    (4, "version"),
    (8, "flags"),
    (12, "capacity"),
    (20, "grain size"),
    (28, "descriptor offset"),
    (36, "descriptor size"),
    (44, "entries in a grain table"),
    (48, "redundant directory"),
    (56, "directory"),
    (64, "overhead"),
    (72, "unclean shutdown"),
    (73, "line ends"),
    (77, "compression"),
    (79, "padding"),
];

fn le32(file: &[u8], at: usize) -> usize {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize
}

fn image(options: &str) -> (Source, Vec<u8>, Vec<u8>) {
    let source = Source::new();
    let expected = content(BYTES, 81);
    source.convert(
        &expected,
        &format!("-O vmdk -o subformat={options}"),
        "disk.vmdk",
    );
    let file = source.read("disk.vmdk");
    (source, expected, file)
}

fn rot<'a>(source: &'a Source, expected: &'a [u8]) -> Rot<'a> {
    Rot {
        source,
        disk: "disk.vmdk",
        file: "disk.vmdk",
        expected,
    }
}

#[test]
fn two_grain_tables_tell_of_each_other() {
    let (source, expected, file) = image("monolithicSparse");
    let rot = rot(&source, &expected);
    let (redundant, directory) = (le32(&file, 48) * 512, le32(&file, 56) * 512);
    let grains = BYTES / 65536 * 4;
    let table = le32(&file, directory) * 512;
    let entries = rot.at(table..table + grains, &BITS, |_| "grain table entry");
    assert_eq!(entries.of(Outcome::Wrong), [""; 0]);
    assert_eq!(entries.of(Outcome::Right), [""; 0]);
    let copy = le32(&file, redundant) * 512;
    let entries = rot.at(copy..copy + grains, &BITS, |_| "entry of the copy");
    assert_eq!(entries.of(Outcome::RightAndTold), ["entry of the copy"]);
    assert_eq!(entries.of(Outcome::Right), [""; 0]);
    for (what, at) in [("directory", directory), ("redundant directory", redundant)] {
        let entries = rot.at(at..at + 4, &BITS, |_| what);
        assert_eq!(entries.of(Outcome::Wrong), [""; 0], "{what}");
        assert_eq!(entries.of(Outcome::Right), [""; 0], "{what}");
    }
}

#[test]
fn headers_have_no_checksum() {
    let (source, expected, _) = image("monolithicSparse");
    let outcomes = rot(&source, &expected).at(0..79, &SOME, |at| field_at(&HEADER, at));
    println!("{:?}", outcomes.of(Outcome::Wrong));
    // The descriptor has the capacity too.
    let known = ["grain size"];
    let wrong = outcomes.of(Outcome::Wrong);
    assert!(wrong.iter().all(|field| known.contains(field)), "{wrong:?}");
}

#[test]
fn stream_optimized_grains_say_where_they_belong() {
    let (source, expected, file) = image("streamOptimized");
    let rot = rot(&source, &expected);
    let directory = le32(&file, 56) * 512;
    let table = le32(&file, directory) * 512;
    let first = le32(&file, table) * 512;
    let marker = rot.at(first..first + 12, &BITS, |_| "marker");
    // A length that is too large does no harm.
    assert_eq!(marker.of(Outcome::Wrong), [""; 0]);
    assert_eq!(marker.of(Outcome::Unreadable), ["marker"]);
    let bytes = le32(&file, first + 8);
    let data = rot.at(
        (first + 12..first + 12 + bytes).step_by(97),
        &SOME,
        |_| "data",
    );
    assert_eq!(
        (data.of(Outcome::Wrong), data.of(Outcome::Right)),
        (vec![], vec![])
    );
    // The sum behind a deflate stream (RFC 1950 §2.2).
    let end = first + 12 + bytes;
    let sum = rot.at(end - 4..end, &BITS, |_| "Adler-32");
    assert_eq!(sum.of(Outcome::Unreadable), ["Adler-32"]);
    // No entry leads to another grain; that one leads to none, the second table contradicts.
    let entries = rot.at(
        table..table + BYTES / 65536 * 4,
        &BITS,
        |_| "grain table entry",
    );
    assert_eq!(entries.of(Outcome::Wrong), [""; 0]);
    assert_eq!(entries.of(Outcome::Unreadable), ["grain table entry"]);
}

#[test]
fn grains_of_esx_that_share_a_place() {
    let source = Source::new();
    let expected = content(BYTES, 82);
    let sectors: Vec<Option<Vec<u8>>> = expected
        .chunks(512)
        .map(|part| Some(part.to_vec()))
        .collect();
    source.write("delta.vmdk", cowd(&sectors));
    let line = format!("RW {} VMFSSPARSE \"delta.vmdk\"", BYTES / 512);
    source.write("disk.vmdk", descriptor("vmfsSparse", 1, None, &[&line]));
    let file = source.read("delta.vmdk");
    let table = le32(&file, le32(&file, 20) * 512) * 512;
    let rot = Rot {
        source: &source,
        disk: "disk.vmdk",
        file: "delta.vmdk",
        expected: &expected,
    };
    let entries = rot.at(table..table + 16, &BITS, |_| "grain table entry");
    assert!(!entries.of(Outcome::WrongAndTold).is_empty(), "{entries:?}");
}

#[test]
fn good_images_have_no_flaws() {
    for options in [
        "monolithicSparse",
        "monolithicFlat",
        "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat",
        "streamOptimized",
    ] {
        let (source, _, _) = image(options);
        assert_eq!(flaws(&source.disk("disk.vmdk")), [], "{options}");
        if options.ends_with("Sparse") {
            qemu_img(&source, "create -q -f vmdk -b disk.vmdk -F vmdk top.vmdk");
            qemu_io(
                &source,
                "top.vmdk",
                &["write -P 1 64k 300k", "write -z 512k 64k"],
            );
            assert_eq!(flaws(&source.disk("top.vmdk")), [], "a delta on {options}");
        }
    }
}
