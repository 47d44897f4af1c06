//! Every byte of a VHD's footer, header and tables.

use crate::rot::{BITS, Outcome, Rot, SOME, flaws};
use crate::source::{Source, content, qemu_img, qemu_io};
use crate::vhd_writer::{Image, Parent};

const BLOCK: usize = 64 * 1024;
const BYTES: usize = 6 * BLOCK;

/// Footer, its copy, header and table of a dynamic image; the blocks follow without gaps.
#[test]
fn all_but_data() {
    let source = Source::new();
    let expected = content(BYTES, 73);
    let mut image = Image::new(BYTES, BLOCK);
    // The last block is not there.
    let expected = [&expected[..BYTES - BLOCK], &[0; BLOCK]].concat();
    image.put(0, &expected[..BYTES - BLOCK]);
    image.save(&source.file("disk.vhd"));
    let file = source.read("disk.vhd");
    let table = u64::from_be_bytes(file[528..536].try_into().unwrap()) as usize;
    let rot = Rot {
        source: &source,
        disk: "disk.vhd",
        file: "disk.vhd",
        expected: &expected,
    };
    let copy = rot.at(0..512, &SOME, |_| "copy of the footer");
    assert_eq!(copy.of(Outcome::RightAndTold), ["copy of the footer"]);
    assert_eq!(copy.of(Outcome::Right), [""; 0]);
    let footer = rot.at(file.len() - 512..file.len(), &SOME, |_| "footer");
    assert_eq!(footer.of(Outcome::RightAndTold), ["footer"]);
    assert_eq!(footer.of(Outcome::Right), [""; 0]);
    let header = rot.at(512..1536, &SOME, |_| "header");
    assert_eq!(header.of(Outcome::Refused), ["header"]);
    for outcomes in [copy, footer, header] {
        assert_eq!(outcomes.of(Outcome::Wrong), [""; 0]);
        assert_eq!(outcomes.of(Outcome::WrongAndTold), [""; 0]);
    }
    // Blocks stand close together: wherever an entry leads, something else is.
    let entries = rot.at(table..table + BYTES / BLOCK * 4, &BITS, |_| "table entry");
    assert_eq!(entries.of(Outcome::Wrong), [""; 0]);
    assert_eq!(entries.of(Outcome::WrongAndTold), ["table entry"]);
    assert_eq!(entries.of(Outcome::Unreadable), ["table entry"]);
}

/// Nothing tells whether a bit is right that says where a sector is.
#[test]
fn a_bitmap_has_no_checksum() {
    let source = Source::new();
    let below = content(BYTES, 74);
    let mut base = Image::new(BYTES, BLOCK);
    base.put(0, &below);
    base.save(&source.file("base.vhd"));
    let mut top = Image::new(BYTES, BLOCK);
    top.id = [9; 16];
    top.parent = Some(Parent {
        id: base.id,
        name: "base.vhd",
        locators: Vec::new(),
    });
    let above = content(4096, 75);
    top.put(8192, &above);
    top.save(&source.file("top.vhd"));
    let mut expected = below;
    expected[8192..8192 + 4096].copy_from_slice(&above);
    let file = source.read("top.vhd");
    let table = u64::from_be_bytes(file[528..536].try_into().unwrap()) as usize;
    let block = u32::from_be_bytes(file[table..table + 4].try_into().unwrap()) as usize * 512;
    let rot = Rot {
        source: &source,
        disk: "top.vhd",
        file: "top.vhd",
        expected: &expected,
    };
    let outcomes = rot.at(block..block + 16, &[0xff], |_| "bitmap");
    assert_eq!(outcomes.of(Outcome::Wrong), ["bitmap"]);
    // The data of a fixed image, too.
    source.convert(
        &expected,
        "-O vpc -o subformat=fixed,force_size",
        "fixed.vhd",
    );
    let rot = Rot {
        disk: "fixed.vhd",
        file: "fixed.vhd",
        ..rot
    };
    let outcomes = rot.at(1000..1002, &SOME, |_| "data");
    assert_eq!(outcomes.of(Outcome::Wrong), ["data"]);
}

#[test]
fn good_images_have_no_flaws() {
    let source = Source::new();
    source.convert(&content(5 << 20, 76), "-O vpc -o force_size", "disk.vhd");
    assert_eq!(flaws(&source.disk("disk.vhd")), []);
    qemu_img(
        &source,
        "create -q -f vpc -o force_size,subformat=dynamic new.vhd 20M",
    );
    qemu_io(&source, "new.vhd", &["write -P 1 9M 3M", "write -P 2 0 1M"]);
    assert_eq!(flaws(&source.disk("new.vhd")), []);
}
