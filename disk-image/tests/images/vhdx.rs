//! VHDX: what `qemu-img` makes against `qemu-img convert`, the rest against what was written.

use std::fs;

use disk_image::{Format, Wait};

use crate::source::{Source, assert_same, content, qemu_img, qemu_io, qemu_view};
use crate::vhdx_writer::{Image, METADATA_AT, MIB};

const BYTES: usize = 9 * MIB + 512 * 37;

#[test]
fn fixed_and_dynamic_of_every_block_size() {
    for options in [
        "subformat=fixed",
        "subformat=fixed,block_size=1M",
        "subformat=dynamic",
        "subformat=dynamic,block_size=1M",
        "subformat=dynamic,block_size=2M,block_state_zero=off",
        "subformat=dynamic,block_size=256M,log_size=3M",
    ] {
        let source = Source::new();
        let expected = content(BYTES, 41);
        source.convert(&expected, &format!("-O vhdx -o {options}"), "disk.vhdx");
        let disk = source.disk("disk.vhdx");
        assert_eq!(disk.info().format, Format::Vhdx);
        assert_eq!(disk.info().sector_size, 512);
        let view = qemu_view(&source, "disk.vhdx", "vhdx");
        assert!(view == expected, "{options}: QEMU's view");
        assert_same(&disk, &expected, options);
    }
}

/// Beyond the first chunk the table has entries for bitmaps between those for blocks.
#[test]
fn blocks_beyond_the_first_chunk() {
    let source = Source::new();
    qemu_img(&source, "create -q -f vhdx -o block_size=1M disk.vhdx 40G");
    let places = [0, 4095, 4096, 8191, 8192, 8193, 40959];
    let writes: Vec<String> = places
        .iter()
        .map(|mib| format!("write -P {} {mib}M 64k", mib % 251 + 1))
        .collect();
    let writes: Vec<&str> = writes.iter().map(String::as_str).collect();
    qemu_io(&source, "disk.vhdx", &writes);
    let disk = source.disk("disk.vhdx");
    let mut buf = vec![0; 128 << 10];
    for mib in places {
        disk.read_at(mib << 20, &mut buf, Wait::Allowed).unwrap();
        assert!(
            buf[..64 << 10]
                .iter()
                .all(|byte| u64::from(*byte) == mib % 251 + 1),
            "{mib}"
        );
        assert!(buf[64 << 10..].iter().all(|byte| *byte == 0), "{mib}");
    }
}

#[test]
fn sectors_of_4096_bytes() {
    let source = Source::new();
    let mut image = Image::new(9 << 20, 4096, 1 << 20);
    let expected = content(9 << 20, 42);
    image.put(0, &expected);
    image.save(&source.file("disk.vhdx"));
    let disk = source.disk("disk.vhdx");
    assert_eq!(disk.info().sector_size, 4096);
    assert_same(&disk, &expected, "4096-byte sectors");
}

/// The writer against QEMU, so that what it makes where QEMU cannot follow may be trusted.
#[test]
fn what_the_writer_writes_is_what_qemu_reads() {
    let source = Source::new();
    let mut image = Image::new(9 << 20, 512, 1 << 20);
    let mut expected = vec![0; 9 << 20];
    for (at, length, seed) in [
        (0, MIB, 43),
        (3 * MIB + 512, 5 * 512, 44),
        (8 * MIB, MIB, 45),
    ] {
        expected[at..at + length].copy_from_slice(&content(length, seed));
        image.put(at, &expected[at..at + length]);
    }
    image.save(&source.file("disk.vhdx"));
    assert!(qemu_view(&source, "disk.vhdx", "vhdx") == expected);
    assert_same(&source.disk("disk.vhdx"), &expected, "written");
}

/// A base, a child and a grandchild that hold some blocks whole and others in parts; returns what
/// the grandchild holds.
fn chain(source: &Source, sector: u32) -> Vec<u8> {
    let sector_bytes = sector as usize;
    let mut expected = content(6 * MIB, 46);
    let mut base = Image::new(6 * MIB, sector, 1 << 20);
    base.put(0, &expected);
    base.data_write = [0xb0; 16];
    base.save(&source.file("base.vhdx"));

    let mut child = Image::new(6 * MIB, sector, 1 << 20);
    child.data_write = [0xc0; 16];
    child.child_of(
        [0xb0; 16],
        &[
            ("relative_path", r".\base.vhdx"),
            ("absolute_win32_path", r"C:\VMs\base.vhdx"),
        ],
    );
    let mut grandchild = Image::new(6 * MIB, sector, 2 << 20);
    grandchild.data_write = [0xd0; 16];
    grandchild.child_of([0xc0; 16], &[("relative_path", r".\child.avhdx")]);
    for (image, changes, seed) in [
        (
            &mut child,
            &[(0, 2), (5, 1), (300, 17), (1024, 800), (2047, 3)][..],
            47,
        ),
        (
            &mut grandchild,
            &[(1, 3), (290, 15), (512, 512), (1100, 1)][..],
            48,
        ),
    ] {
        // In sectors of 4096 bytes the disk is shorter than that.
        let last = 6 * MIB / sector_bytes;
        for (first, count) in changes {
            let (first, count) = (first * last / 12288, (*count).min(last / 2));
            let part = content(count * sector_bytes, seed + first as u64);
            let at = first * sector_bytes;
            image.put(at, &part);
            expected[at..at + part.len()].copy_from_slice(&part);
        }
    }
    // A block whole in the child.
    child.put(4 * MIB, &content(MIB, 49));
    expected[4 * MIB..5 * MIB].copy_from_slice(&content(MIB, 49));
    child.save(&source.file("child.avhdx"));
    grandchild.save(&source.file("top.avhdx"));
    expected
}

#[test]
fn differencing() {
    for sector in [512, 4096] {
        let source = Source::new();
        let expected = chain(&source, sector);
        assert_same(
            &source.disk("top.avhdx"),
            &expected,
            &format!("{sector}-byte sectors"),
        );
    }
}

#[test]
fn a_child_longer_than_its_parent() {
    let source = Source::new();
    let mut base = Image::new(MIB, 512, 1 << 20);
    base.put(0, &content(MIB, 50));
    base.save(&source.file("base.vhdx"));
    let mut child = Image::new(3 * MIB, 512, 1 << 20);
    child.child_of([1; 16], &[("relative_path", "base.vhdx")]);
    child.put(2 * MIB, &[7; 512]);
    child.save(&source.file("child.vhdx"));
    let mut expected = content(MIB, 50);
    expected.resize(3 * MIB, 0);
    expected[2 * MIB..2 * MIB + 512].fill(7);
    assert_same(&source.disk("child.vhdx"), &expected, "longer");
}

#[test]
fn parents_by_their_names() {
    for (name, value, expected) in [
        ("relative_path", r"base.vhdx", ""),
        ("relative_path", r"..\point\base.vhdx", ""),
        ("absolute_win32_path", r"D:\Hyper-V\base.vhdx", ""),
        (
            "volume_path",
            r"\\?\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\base.vhdx",
            "",
        ),
        // Not beside the image any more, but its last part is.
        ("relative_path", r"..\gone\base.vhdx", ""),
        ("relative_path", r"gone.vhdx", "does not exist"),
        (
            "relative_path",
            r"..\..\..\..\etc\passwd",
            "leads out of the source",
        ),
        ("absolute_win32_path", r"C:\gone.vhdx", "does not exist"),
        ("relative_path", r"text.vhdx", "vhdx header"),
        (
            "relative_path",
            r"other.vhdx",
            "not the file that the image above was made on",
        ),
        (
            "relative_path",
            r"child.vhdx",
            "not the file that the image above was made on",
        ),
        ("unknown", "base.vhdx", "leads out of the source"),
    ] {
        let source = Source::new();
        let mut base = Image::new(MIB, 512, 1 << 20);
        base.put(0, &content(MIB, 51));
        base.data_write = [0xb0; 16];
        base.save(&source.file("base.vhdx"));
        base.data_write = [0xb1; 16];
        base.save(&source.file("other.vhdx"));
        source.write("text.vhdx", "not an image");
        let mut child = Image::new(MIB, 512, 1 << 20);
        child.child_of([0xb0; 16], &[(name, value)]);
        child.save(&source.file("child.vhdx"));
        if expected.is_empty() {
            assert_same(&source.disk("child.vhdx"), &content(MIB, 51), value);
        } else {
            let refusal = source.refusal("child.vhdx");
            assert!(refusal.contains(expected), "{value}: {refusal}");
        }
    }
}

#[test]
fn a_chain_that_comes_back() {
    let source = Source::new();
    for (name, other) in [("a.vhdx", "b.vhdx"), ("b.vhdx", "a.vhdx")] {
        let mut image = Image::new(MIB, 512, 1 << 20);
        image.child_of([1; 16], &[("relative_path", other)]);
        image.save(&source.file(name));
    }
    assert!(source.refusal("a.vhdx").contains("comes back to itself"));
}

/// Nobody says what this file is: it may be raw, and its header its guest's.
#[test]
fn without_an_extension_it_names_no_other_file() {
    let source = Source::new();
    chain(&source, 512);
    fs::rename(source.file("top.avhdx"), source.file("top")).unwrap();
    assert!(source.refusal("top").contains("depends on another file"));
    assert!(source.open_as("top", Some(Format::Vhdx)).is_ok());
    fs::copy(source.file("base.vhdx"), source.file("base")).unwrap();
    assert_eq!(source.disk("base").info().format, Format::Vhdx);
    fs::copy(source.file("base.vhdx"), source.file("base.raw")).unwrap();
    assert!(source.refusal("base.raw").contains("looks like vhdx"));
}

#[test]
fn tables_that_the_file_does_not_hold() {
    let source = Source::new();
    let mut image = Image::new(MIB, 512, 1 << 20);
    image.size = 60 << 40;
    image.save(&source.file("disk.vhdx"));
    assert!(
        source
            .refusal("disk.vhdx")
            .contains("block allocation table")
    );
    image.size = u64::MAX - 511;
    image.save(&source.file("disk.vhdx"));
    assert!(
        source
            .refusal("disk.vhdx")
            .contains("block allocation table")
    );
    for block in [0_u32, 1, 1 << 19, 3 << 20, 1 << 29] {
        let mut bytes = Image::new(MIB, 512, 1 << 20).bytes();
        let item = METADATA_AT + (64 << 10);
        bytes[item..item + 4].copy_from_slice(&block.to_le_bytes());
        source.write("disk.vhdx", bytes);
        assert!(
            source.refusal("disk.vhdx").contains("block size"),
            "{block}"
        );
    }
}
