//! Every kind of byte of a VHDX.

use crate::rot::{BITS, Outcome, Outcomes, Rot, SOME, flaws};
use crate::source::{Source, content, qemu_img, qemu_io};
use crate::vhdx_log::with_log;
use crate::vhdx_writer::{BAT_AT, Image, LOG_AT, METADATA_AT, MIB};

const BYTES: usize = 4 * MIB;

fn never_wrong(outcomes: &Outcomes) {
    assert_eq!(outcomes.of(Outcome::Wrong), [""; 0]);
    assert_eq!(outcomes.of(Outcome::WrongAndTold), [""; 0]);
}

#[test]
fn identifier_headers_regions_and_log() {
    let source = Source::new();
    let (file, expected) = with_log(0);
    source.write("disk.vhdx", &file);
    let rot = Rot {
        source: &source,
        disk: "disk.vhdx",
        file: "disk.vhdx",
        expected: &expected,
    };
    let signature = rot.at(0..8, &SOME, |_| "signature");
    assert_eq!(signature.of(Outcome::Refused), ["signature"]);
    never_wrong(&signature);
    never_wrong(&rot.at((8..520).step_by(73), &SOME, |_| "creator"));
    // Each copy: the fields, and some of what is reserved.
    for (what, at, last) in [
        ("header", 64 << 10, 4095),
        ("other header", 128 << 10, 4095),
        ("region table", 192 << 10, 65535),
        ("other region table", 256 << 10, 65535),
    ] {
        let outcomes = rot.at((at..at + 80).chain([at + 2000, at + last]), &SOME, |_| what);
        never_wrong(&outcomes);
        assert_eq!(outcomes.of(Outcome::Right), [""; 0], "{what}");
        assert_eq!(outcomes.of(Outcome::RightAndTold), [what]);
    }
    // The last entry is three sectors from the log's start on: its head with one descriptor, and its data sector.
    let last = LOG_AT + 3 * 4096;
    let places = (last..last + 100).chain((last + 4096..last + 8192).step_by(401));
    let log = rot.at(places, &SOME, |_| "last log entry");
    assert_eq!(log.of(Outcome::Refused), ["last log entry"]);
    assert_eq!(log.of(Outcome::Right), [""; 0]);
    never_wrong(&log);
}

#[test]
fn table_and_metadata() {
    let source = Source::new();
    let expected = content(BYTES, 77);
    let mut image = Image::new(BYTES, 512, 1 << 20);
    image.put(0, &expected);
    image.save(&source.file("disk.vhdx"));
    let rot = Rot {
        source: &source,
        disk: "disk.vhdx",
        file: "disk.vhdx",
        expected: &expected,
    };
    // An entry has its state in the first byte (MS-VHDX 2.5.1): one bit makes "here" into "zero".
    let field = |at: usize| match at % 8 {
        0 => "state",
        _ => "offset",
    };
    let entries = rot.at(BAT_AT..BAT_AT + 32, &BITS, field);
    assert_eq!(entries.of(Outcome::Wrong), ["state"]);
    assert_eq!(entries.of(Outcome::WrongAndTold), ["offset"]);
    assert_eq!(entries.of(Outcome::Unreadable), ["offset", "state"]);
    // No checksum on what stands here; a size that the table is large enough for is a size.
    let field = |at: usize| match (at - METADATA_AT).checked_sub(32).map(|at| at % 32) {
        None => "head of the metadata table",
        Some(0..16) => "GUID of an item",
        Some(16..20) => "place of an item",
        Some(20..24) => "length of an item",
        Some(_) => "flags of an item",
    };
    let table = METADATA_AT..METADATA_AT + 32 + 5 * 32;
    let table = rot.at(table, &BITS, field);
    assert_eq!(table.of(Outcome::Wrong), ["place of an item"]);
    // Items have 64 bytes each: parameters, size, identifier, logical sector, physical sector.
    let field = |at: usize| match (at - METADATA_AT - (64 << 10)) / 64 {
        0 => "parameters",
        1 => "size",
        2 => "identifier",
        3 => "logical sector",
        _ => "physical sector",
    };
    let items = METADATA_AT + (64 << 10);
    let items = (0..5).flat_map(|item| items + item * 64..items + item * 64 + 8);
    let items = rot.at(items, &BITS, field);
    assert_eq!(items.of(Outcome::Wrong), ["size"]);
}

#[test]
fn sector_bitmaps_have_no_checksum() {
    let source = Source::new();
    let mut base = Image::new(BYTES, 512, 1 << 20);
    base.put(0, &content(BYTES, 78));
    base.save(&source.file("base.vhdx"));
    let mut top = Image::new(BYTES, 512, 1 << 20);
    top.child_of(base.data_write, &[("relative_path", "base.vhdx")]);
    top.put(8192, &[5; 4096]);
    top.save(&source.file("top.vhdx"));
    let mut expected = content(BYTES, 78);
    expected[8192..8192 + 4096].fill(5);
    let file = source.read("top.vhdx");
    // The bitmap's entry is the last of the chunk: 4096 blocks of 1 MiB come first.
    let entry = BAT_AT + 4096 * 8;
    let entry = u64::from_le_bytes(file[entry..entry + 8].try_into().unwrap());
    let bitmap = (entry >> 20 << 20) as usize;
    let rot = Rot {
        source: &source,
        disk: "top.vhdx",
        file: "top.vhdx",
        expected: &expected,
    };
    let outcomes = rot.at(bitmap..bitmap + 4, &[0xff], |_| "sector bitmap");
    assert_eq!(outcomes.of(Outcome::Wrong), ["sector bitmap"]);
}

#[test]
fn good_images_have_no_flaws() {
    let source = Source::new();
    for options in ["", "-o subformat=fixed", "-o block_size=1M"] {
        let options = format!("-O vhdx {options}");
        source.convert(&content(5 << 20, 79), options.trim(), "disk.vhdx");
        assert_eq!(flaws(&source.disk("disk.vhdx")), [], "{options}");
    }
    qemu_img(&source, "create -q -f vhdx -o block_size=1M new.vhdx 30M");
    qemu_io(
        &source,
        "new.vhdx",
        &["write -P 1 9M 3M", "write -P 2 0 1M"],
    );
    assert_eq!(flaws(&source.disk("new.vhdx")), []);
    let (file, _) = with_log(4096);
    source.write("log.vhdx", file);
    assert_eq!(flaws(&source.disk("log.vhdx")), []);
}
