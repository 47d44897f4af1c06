//! VHD: what `qemu-img` makes against `qemu-img convert`, the rest against what was written.

use std::fs;

use disk_image::{Format, Wait};

use crate::damage::mutate;
use crate::source::{Source, assert_same, content, qemu_img, qemu_io, qemu_view};
use crate::vhd_writer::{Image, Parent, footer, seal, utf16};

const MIB: usize = 1 << 20;
const BYTES: usize = 9 * MIB + 512 * 37;

#[test]
fn fixed_and_dynamic() {
    for options in [
        "subformat=fixed",
        "subformat=dynamic",
        "subformat=fixed,force_size=on",
        "subformat=dynamic,force_size=on",
    ] {
        let source = Source::new();
        let expected = content(BYTES, 71);
        source.convert(&expected, &format!("-O vpc -o {options}"), "disk.vhd");
        let disk = source.disk("disk.vhd");
        assert_eq!(disk.info().format, Format::Vhd);
        // Without force_size QEMU rounds up to a whole number of cylinders.
        let view = qemu_view(&source, "disk.vhd", "vpc");
        assert!(view.starts_with(&expected), "{options}: QEMU's view");
        assert_same(&disk, &view, options);
    }
}

#[test]
fn large_and_empty_but_for_a_few_blocks() {
    let source = Source::new();
    qemu_img(&source, "create -q -f vpc -o force_size=on disk.vhd 2000G");
    qemu_io(
        &source,
        "disk.vhd",
        &[
            "write -P 5 0 4k",
            "write -P 6 1999G 4k",
            "write -P 7 1000G 4k",
        ],
    );
    let disk = source.disk("disk.vhd");
    let mut buf = vec![0; 8192];
    for (gib, byte) in [(0, 5), (1999, 6), (1000, 7), (500, 0)] {
        disk.read_at(gib << 30, &mut buf, Wait::Allowed).unwrap();
        assert!(buf[..4096].iter().all(|found| *found == byte), "{gib}");
        assert!(buf[4096..].iter().all(|found| *found == 0), "{gib}");
    }
}

/// The writer against QEMU, so that what it makes where QEMU cannot follow may be trusted.
#[test]
fn what_the_writer_writes_is_what_qemu_reads() {
    for block in [512 << 10, 2 << 20] {
        let source = Source::new();
        let mut image = Image::new(7 * MIB, block);
        let mut expected = vec![0; 7 * MIB];
        for (at, length, seed) in [
            (0, MIB, 72),
            (3 * MIB + 512, 5 * 512, 73),
            (6 * MIB, MIB, 74),
        ] {
            expected[at..at + length].copy_from_slice(&content(length, seed));
            image.put(at, &expected[at..at + length]);
        }
        image.save(&source.file("disk.vhd"));
        assert!(qemu_view(&source, "disk.vhd", "vpc") == expected);
        assert_same(&source.disk("disk.vhd"), &expected, "written");
    }
}

#[test]
fn a_fixed_image_with_a_footer_of_511_bytes() {
    let source = Source::new();
    let expected = content(MIB, 75);
    let mut file = expected.clone();
    file.extend(&footer(2, MIB as u64, [1; 16])[..511]);
    source.write("disk.vhd", file);
    assert_same(&source.disk("disk.vhd"), &expected, "511 bytes");
}

/// The start of a fixed disk is its guest's, who might write there what a dynamic image begins with.
#[test]
fn a_fixed_image_may_begin_with_anything() {
    let source = Source::new();
    for (start, what) in [
        (
            &child("../other-vm/secret.vhd", &[]).bytes()[..2048],
            "differencing",
        ),
        (b"QFI\xfb\0\0\0\x03", "qcow2"),
        (b"vhdxfile", "vhdx"),
    ] {
        let mut expected = content(MIB, 76);
        expected[..start.len()].copy_from_slice(start);
        let mut file = expected.clone();
        file.extend(footer(2, MIB as u64, [1; 16]));
        source.write("disk.vhd", &file);
        assert_same(&source.disk("disk.vhd"), &expected, what);
    }
    // Nor when the end was lost, and with it the word that it is fixed.
    let mut file = child("../other-vm/secret.vhd", &[]).bytes();
    file.truncate(file.len() - 512);
    source.write("disk.vhd", &file);
    assert!(source.refusal("disk.vhd").contains("footer at the end"));
}

#[test]
fn a_dynamic_image_whose_end_is_lost_is_read_by_its_start() {
    let source = Source::new();
    let expected = content(5 * MIB, 77);
    let mut image = Image::new(5 * MIB, 2 << 20);
    image.put(0, &expected);
    let mut file = image.bytes();
    let last = file.len() - 100;
    file[last] ^= 1;
    source.write("disk.vhd", &file);
    assert_same(&source.disk("disk.vhd"), &expected, "damaged");
    file.truncate(file.len() - 512);
    source.write("disk.vhd", &file);
    assert_same(&source.disk("disk.vhd"), &expected, "cut off");
    // Without an extension as well: it names no other file.
    source.write("disk", &file);
    assert_eq!(source.disk("disk").info().format, Format::Vhd);
    file[40] ^= 1;
    source.write("disk.vhd", &file);
    assert!(source.refusal("disk.vhd").contains("no VHD footer"));
}

/// An empty child of the image with the ID `b0…`.
fn child(name: &'static str, locators: &[(&[u8; 4], Vec<u8>)]) -> Image {
    let mut child = Image::new(5 * MIB, 2 << 20);
    child.id = [0xc0; 16];
    child.parent = Some(Parent {
        id: [0xb0; 16],
        name,
        locators: locators
            .iter()
            .map(|(platform, data)| (**platform, data.clone()))
            .collect(),
    });
    child
}

fn base(source: &Source, seed: u64) -> Vec<u8> {
    let expected = content(5 * MIB, seed);
    let mut base = Image::new(5 * MIB, 2 << 20);
    base.put(0, &expected);
    base.id = [0xb0; 16];
    base.save(&source.file("base.vhd"));
    expected
}

#[test]
fn differencing() {
    let source = Source::new();
    let mut expected = base(&source, 78);
    let mut child = child("base.vhd", &[(b"W2ru", utf16(r".\base.vhd"))]);
    let mut grandchild = Image::new(5 * MIB, 512 << 10);
    grandchild.parent = Some(Parent {
        id: [0xc0; 16],
        name: "child.avhd",
        locators: vec![(*b"W2ku", utf16(r"D:\VMs\child.avhd"))],
    });
    for (image, changes, seed) in [
        (
            &mut child,
            &[(0, 2), (5, 1), (300, 17), (1024, 800), (4095, 3), (8191, 9)][..],
            79,
        ),
        (
            &mut grandchild,
            &[(1, 3), (290, 15), (512, 512), (1100, 1), (10239, 1)][..],
            80,
        ),
    ] {
        for (first, count) in changes {
            let part = content(count * 512, seed + *first as u64);
            image.put(first * 512, &part);
            expected[first * 512..first * 512 + part.len()].copy_from_slice(&part);
        }
    }
    child.save(&source.file("child.avhd"));
    grandchild.save(&source.file("top.avhd"));
    assert_same(&source.disk("top.avhd"), &expected, "three images");
    fs::rename(source.file("top.avhd"), source.file("top")).unwrap();
    assert!(source.refusal("top").contains("depends on another file"));
}

#[test]
fn differencing_over_a_fixed_image() {
    let source = Source::new();
    let mut expected = content(5 * MIB, 81);
    let mut file = expected.clone();
    file.extend(footer(2, 5 * MIB as u64, [0xb0; 16]));
    source.write("base.vhd", &file);
    let mut child = child("base.vhd", &[]);
    child.put(MIB, &[7; 1024]);
    expected[MIB..MIB + 1024].fill(7);
    child.save(&source.file("child.vhd"));
    assert_same(&source.disk("child.vhd"), &expected, "over fixed");
}

#[test]
fn parents_by_their_names() {
    for (name, locators, expected) in [
        ("base.vhd", &[][..], ""),
        (r"C:\VMs\base.vhd", &[], ""),
        ("gone.vhd", &[(b"W2ru", utf16(r"..\point\base.vhd"))], ""),
        (
            "gone.vhd",
            &[(b"W2ku", utf16(r"\\server\share\base.vhd"))],
            "",
        ),
        ("gone.vhd", &[(b"MacX", b"file://./base.vhd".to_vec())], ""),
        (
            "gone.vhd",
            &[(b"MacX", b"file://localhost/a/b/base%2evhd".to_vec())],
            "",
        ),
        (
            "gone.vhd",
            &[(b"Wi2k", utf16("base.vhd"))],
            "does not exist",
        ),
        (
            "",
            &[(b"W2ru", utf16(r"..\..\..\..\etc\passwd"))],
            "leads out of the source",
        ),
        (
            "",
            &[(b"W2ru", vec![0xff; 70_000])],
            "leads out of the source",
        ),
        (
            "other.vhd",
            &[],
            "not the file that the image above was made on",
        ),
        ("text.vhd", &[], "no VHD footer"),
    ] {
        let source = Source::new();
        let view = base(&source, 82);
        let mut other = Image::new(5 * MIB, 2 << 20);
        other.id = [0xb1; 16];
        other.save(&source.file("other.vhd"));
        source.write("text.vhd", "not an image");
        child(name, locators).save(&source.file("child.vhd"));
        if expected.is_empty() {
            assert_same(&source.disk("child.vhd"), &view, name);
        } else {
            let refusal = source.refusal("child.vhd");
            assert!(refusal.contains(expected), "{name} {locators:?}: {refusal}");
        }
    }
}

#[test]
fn a_chain_that_comes_back() {
    let source = Source::new();
    for (name, other, id, parent) in [("a.vhd", "b.vhd", 1, 2), ("b.vhd", "a.vhd", 2, 1)] {
        let mut image = child(other, &[]);
        image.id = [id; 16];
        image.parent.as_mut().unwrap().id = [parent; 16];
        image.save(&source.file(name));
    }
    assert!(source.refusal("a.vhd").contains("comes back to itself"));
}

#[test]
fn headers_that_promise_what_the_file_does_not_hold() {
    let source = Source::new();
    let file = Image::new(5 * MIB, 2 << 20).bytes();
    let refusal = |at: usize, value: &[u8]| {
        let mut file = file.clone();
        file[512 + at..512 + at + value.len()].copy_from_slice(value);
        seal(&mut file[512..1536], 36);
        source.write("disk.vhd", &file);
        source.refusal("disk.vhd")
    };
    assert!(refusal(32, &[0; 4]).contains("block size"));
    assert!(refusal(32, &[0xff; 4]).contains("block size"));
    assert!(refusal(32, &[0, 0, 2, 0]).contains("block size"));
    assert!(refusal(28, &[0, 0, 0, 2]).contains("needs 3"));
    assert!(refusal(16, &[0xff; 8]).contains("outside the file"));
    assert!(refusal(24, &[0, 2, 0, 0]).contains("version"));
    let mut huge = file.clone();
    for at in [0, huge.len() - 512] {
        huge[at + 48..at + 56].fill(0xff);
        seal(&mut huge[at..at + 512], 64);
    }
    source.write("disk.vhd", &huge);
    assert!(source.refusal("disk.vhd").contains("needs"));
    let mut short = vec![0; MIB];
    short.extend(footer(2, 2 * MIB as u64, [1; 16]));
    source.write("disk.vhd", short);
    assert!(source.refusal("disk.vhd").contains("should hold"));
}

/// An entry that leads into the table itself: what stands there is still the table.
#[test]
fn a_block_that_lies_in_the_table_costs_no_other() {
    let source = Source::new();
    let expected = base(&source, 84);
    let mut image = child("base.vhd", &[]);
    // 1280 blocks: the table, from byte 1536 on, is read in parts of 1024 entries.
    image.block = 4096;
    image.put(1200 * 4096, &[7; 4096]);
    let mut file = image.bytes();
    file[1536..1540].copy_from_slice(&((1536 + 4096) / 512_u32).to_be_bytes());
    source.write("child.vhd", &file);
    let disk = source.disk("child.vhd");
    let mut buf = vec![0; 4096];
    disk.read_at(0, &mut buf, Wait::Allowed).unwrap();
    disk.read_at(1200 * 4096, &mut buf, Wait::Allowed).unwrap();
    assert!(buf == [7; 4096]);
    disk.read_at(1201 * 4096, &mut buf, Wait::Allowed).unwrap();
    assert!(buf == expected[1201 * 4096..1202 * 4096]);
}

#[test]
fn damage() {
    let source = Source::new();
    let expected = content(MIB, 83);
    let mut image = Image::new(MIB, 512 << 10);
    image.put(0, &expected);
    let file = image.bytes();
    source.write("disk.vhd", &file);
    let end = file.len() - 512;
    // Footers and header have checksums.
    for (what, places) in [
        ("footer", (end..end + 512).collect::<Vec<_>>()),
        ("copy of the footer", (0..512).collect()),
        ("header", (512..1536).collect()),
    ] {
        let outcome = mutate(&source, "disk.vhd", &places, &expected, 100);
        println!("{what}: {outcome:?}");
        assert_eq!(outcome.other, 0, "{what}: {outcome:?}");
    }
    let outcome = mutate(
        &source,
        "disk.vhd",
        &(1536..1544).collect::<Vec<_>>(),
        &expected,
        300,
    );
    println!("table: {outcome:?}");
    assert!(
        outcome.other < outcome.right && outcome.opened == 300,
        "{outcome:?}"
    );
}
