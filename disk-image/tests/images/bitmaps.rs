//! Sector bitmaps at their borders: the end of a chunk, and of what is read of them at a time.

use disk_image::Wait;

use crate::source::{Source, assert_same, content};
use crate::vhd_writer::{self, footer};
use crate::vhdx_writer::{self, BAT_AT, MIB};

/// The second bitmap of a VHDX, and its entry behind those of the second chunk's blocks.
#[test]
fn vhdx_beyond_the_first_chunk() {
    for sector in [512, 4096] {
        let source = Source::new();
        let chunk_bytes = (1_u64 << 23) * u64::from(sector);
        let blocks_in_chunk = (chunk_bytes >> 20) as usize;
        let mut base = vhdx_writer::Image::new(2 * MIB, sector, 1 << 20);
        base.put(0, &content(2 * MIB, 52));
        let mut child = vhdx_writer::Image::new(2 * MIB, sector, 1 << 20);
        child.child_of(base.data_write, &[("relative_path", "base.vhdx")]);
        let mut expected = content(2 * MIB, 52);
        for at in [0, 64 << 10, MIB - 4096, MIB + 4096] {
            let part = content(8192, 53 + at as u64);
            child.put(at, &part);
            expected[at..at + 8192].copy_from_slice(&part);
        }
        // What the writer puts at the disk's start is moved into the second chunk, entry by entry.
        for (image, name) in [(&mut base, "base.vhdx"), (&mut child, "child.vhdx")] {
            image.size = chunk_bytes + 2 * MIB as u64;
            let mut file = image.bytes();
            let entries = blocks_in_chunk + 1;
            for entry in [0, 1, blocks_in_chunk] {
                let at = BAT_AT + entry * 8;
                file.copy_within(at..at + 8, at + entries * 8);
                file[at..at + 8].fill(0);
            }
            source.write(name, file);
        }
        let disk = source.disk("child.vhdx");
        let mut buf = vec![0xee; 2 * MIB];
        disk.read_at(chunk_bytes, &mut buf, Wait::Allowed).unwrap();
        assert!(buf == expected, "{sector}-byte sectors: the second chunk");
        let mut buf = vec![0xee; 3 * MIB];
        let from = chunk_bytes - MIB as u64;
        disk.read_at(from, &mut buf, Wait::Allowed).unwrap();
        assert!(buf[..MIB].iter().all(|byte| *byte == 0) && buf[MIB..] == expected);
        disk.read_at(0, &mut buf, Wait::Allowed).unwrap();
        assert!(buf.iter().all(|byte| *byte == 0), "the first chunk");
    }
}

/// A bitmap is read 4096 bytes at a time: 16 MiB of sectors of 512 bytes.
#[test]
fn vhdx_blocks_of_more_sectors_than_are_read_of_a_bitmap() {
    let source = Source::new();
    let mut expected = content(33 * MIB, 54);
    let mut base = vhdx_writer::Image::new(33 * MIB, 512, 32 << 20);
    base.put(0, &expected);
    base.save(&source.file("base.vhdx"));
    let mut child = vhdx_writer::Image::new(33 * MIB, 512, 32 << 20);
    child.child_of(base.data_write, &[("relative_path", "base.vhdx")]);
    for (at, bytes) in [
        (16 * MIB - 1024, 2048),
        (17 * MIB, 9000 * 512),
        (32 * MIB, 512),
    ] {
        child.put(at, &content(bytes, 55));
        expected[at..at + bytes].copy_from_slice(&content(bytes, 55));
    }
    child.save(&source.file("child.vhdx"));
    assert_same(&source.disk("child.vhdx"), &expected, "32 MiB");
}

/// A bitmap is read 4096 bytes at a time: 16 MiB of the disk.
#[test]
fn vhd_blocks_of_more_sectors_than_are_read_of_a_bitmap() {
    let source = Source::new();
    let mut expected = content(33 * MIB, 85);
    let mut file = expected.clone();
    file.extend(footer(2, 33 * MIB as u64, [0xb0; 16]));
    source.write("base.vhd", &file);
    let mut child = vhd_writer::Image::new(33 * MIB, 32 << 20);
    child.parent = Some(vhd_writer::Parent {
        id: [0xb0; 16],
        name: "base.vhd",
        locators: Vec::new(),
    });
    for (at, bytes) in [
        (16 * MIB - 1024, 2048),
        (17 * MIB, 9000 * 512),
        (32 * MIB, 512),
    ] {
        child.put(at, &content(bytes, 86));
        expected[at..at + bytes].copy_from_slice(&content(bytes, 86));
    }
    child.save(&source.file("child.vhd"));
    assert_same(&source.disk("child.vhd"), &expected, "32 MiB");
}
