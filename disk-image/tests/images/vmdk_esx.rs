//! VMDK as ESX writes it, against `qemu-img convert`: flat extents, COWD and seSparse deltas.

use crate::source::{Numbers, Source, assert_same, content};
use crate::vmdk::assert_as_qemu;
use crate::vmdk_writer::{Grain, cowd, descriptor, sesparse};

const MIB: usize = 1 << 20;

/// An ESX base of several extents, and its descriptor.
fn esx_base(source: &Source) -> Vec<u8> {
    let expected = content(4 * MIB, 93);
    source.write("disk-flat.vmdk", &expected[..3 * MIB]);
    source.write(
        "rest.bin",
        [&[0xaa; 1024][..], &expected[3 * MIB..3 * MIB + 512 * 1024]].concat(),
    );
    let lines = [
        "RW 6144 VMFS \"disk-flat.vmdk\"",
        "RW 1024 FLAT \"rest.bin\" 2",
        "RW 1024 ZERO",
    ];
    source.write("disk.vmdk", descriptor("vmfs", 0x1234_5678, None, &lines));
    let mut expected = expected;
    expected[3 * MIB + 512 * 1024..].fill(0);
    expected
}

#[test]
fn flat_extents_of_esx_with_an_offset_and_zeros() {
    let source = Source::new();
    let expected = esx_base(&source);
    assert_same(&source.disk("disk.vmdk"), &expected, "flat, flat, zero");
}

#[test]
fn deltas_of_esx() {
    let source = Source::new();
    let mut expected = esx_base(&source);
    let mut numbers = Numbers(94);
    let mut sectors = vec![None; 8192];
    for _ in 0..300 {
        let (first, count) = (numbers.below(8192) as usize, numbers.below(20) as usize);
        for sector in first..(first + count).min(8192) {
            let part = content(512, numbers.next());
            expected[sector * 512..][..512].copy_from_slice(&part);
            sectors[sector] = Some(part);
        }
    }
    source.write("disk-000001-delta.vmdk", cowd(&sectors));
    let line = "RW 8192 VMFSSPARSE \"disk-000001-delta.vmdk\"";
    let parent = Some((0x1234_5678, "disk.vmdk"));
    source.write(
        "disk-000001.vmdk",
        descriptor("vmfsSparse", 0x9abc_def0, parent, &[line]),
    );
    let view = assert_as_qemu(&source, "disk-000001.vmdk", "COWD");
    assert!(view == expected, "COWD: QEMU's view");

    let mut grains = vec![Grain::Below; 1024];
    for _ in 0..200 {
        let grain = numbers.below(1024) as usize;
        let part = &mut expected[grain * 4096..][..4096];
        grains[grain] = match numbers.below(4) {
            0 => Grain::Zero,
            1 => Grain::Unmapped,
            _ => Grain::Here(content(4096, numbers.next())),
        };
        match &grains[grain] {
            Grain::Here(content) => part.copy_from_slice(content),
            _ => part.fill(0),
        }
    }
    source.write("disk-000002-sesparse.vmdk", sesparse(&grains));
    let line = "RW 8192 SESPARSE \"disk-000002-sesparse.vmdk\"";
    // As ESX has it where the disk is on another datastore.
    let parent = Some((0x9abc_def0, "/vmfs/volumes/5f0c/vm/disk-000001.vmdk"));
    source.write(
        "disk-000002.vmdk",
        descriptor("seSparse", 0x1111_2222, parent, &[line]),
    );
    assert_same(
        &source.disk("disk-000002.vmdk"),
        &expected,
        "seSparse on COWD",
    );
    // QEMU takes the name as it is.
    let parent = Some((0x9abc_def0, "disk-000001.vmdk"));
    source.write(
        "disk-000002.vmdk",
        descriptor("seSparse", 0x1111_2222, parent, &[line]),
    );
    let view = assert_as_qemu(&source, "disk-000002.vmdk", "seSparse");
    assert!(view == expected, "seSparse: QEMU's view");
}

/// A disk of a virtual NVMe drive may have sectors of 4096 bytes; extents count in 512 all the same.
#[test]
fn sectors_of_4096_bytes() {
    let source = Source::new();
    source.write("disk-flat.vmdk", content(MIB, 104));
    source.write("delta.bin", cowd(&vec![None; 2048]));
    let flat = descriptor("vmfs", 7, None, &["RW 2048 VMFS \"disk-flat.vmdk\""]);
    for (stated, expected) in [("", 512), ("512", 512), ("4096", 4096)] {
        let line = match stated {
            "" => String::new(),
            bytes => format!("ddb.logicalSectorSize = \"{bytes}\"\n"),
        };
        source.write("disk.vmdk", format!("{flat}{line}"));
        let parent = Some((7, "disk.vmdk"));
        let delta = "RW 2048 VMFSSPARSE \"delta.bin\"";
        let text = descriptor("vmfsSparse", 8, parent, &[delta]);
        source.write("disk-000001.vmdk", text);
        for name in ["disk.vmdk", "disk-000001.vmdk"] {
            let disk = source.disk(name);
            assert_eq!(disk.info().sector_size, expected, "{name}: {stated:?}");
            assert_same(&disk, &content(MIB, 104), name);
        }
    }
    let line = "ddb.logicalSectorSize = \"520\"\n";
    source.write("disk.vmdk", format!("{flat}{line}"));
    assert!(source.refusal("disk.vmdk").contains("520"));
}

/// More grains than one table holds, and numbers that need both parts of an entry.
#[test]
fn large_sesparse() {
    let source = Source::new();
    let grains: Vec<Grain> = (0..9000_u64)
        .map(|n| match n % 7 {
            0 => Grain::Below,
            1 => Grain::Zero,
            _ => Grain::Here(n.to_le_bytes().repeat(512)),
        })
        .collect();
    source.write("delta.vmdk", sesparse(&grains));
    let line = "RW 72000 SESPARSE \"delta.vmdk\"";
    source.write("disk.vmdk", descriptor("seSparse", 1, None, &[line]));
    assert_as_qemu(&source, "disk.vmdk", "9000 grains");
}
