//! VMDK: everything against `qemu-img convert`, which reads all its variants.

use std::fs;

use disk_image::{Format, Wait};

use crate::source::{Source, assert_same, content, qemu_img, qemu_io, qemu_view};
use crate::vmdk_writer::{Grain, cowd, descriptor, sesparse};

const MIB: usize = 1 << 20;
const BYTES: usize = 5 * MIB + 512 * 37;
const GRAIN: usize = 64 << 10;

pub(crate) fn assert_as_qemu(source: &Source, name: &str, what: &str) -> Vec<u8> {
    let view = qemu_view(source, name, "vmdk");
    let disk = source.disk(name);
    assert_eq!(disk.info().format, Format::Vmdk);
    assert_eq!(disk.info().sector_size, 512);
    assert_same(&disk, &view, what);
    view
}

#[test]
fn every_kind_that_qemu_makes() {
    for options in [
        "subformat=monolithicSparse",
        "subformat=monolithicSparse,zeroed_grain=on",
        "subformat=monolithicSparse,compat6=on",
        "subformat=monolithicFlat",
        "subformat=twoGbMaxExtentSparse",
        "subformat=twoGbMaxExtentFlat",
        "subformat=streamOptimized",
    ] {
        let source = Source::new();
        let expected = content(BYTES, 91);
        source.convert(&expected, &format!("-O vmdk -o {options}"), "disk.vmdk");
        let view = assert_as_qemu(&source, "disk.vmdk", options);
        assert!(view.starts_with(&expected), "{options}: QEMU's view");
    }
}

/// As VMware writes it: the directory is known at the end only, and stands in a footer.
#[test]
fn stream_with_a_footer() {
    let source = Source::new();
    let expected = content(BYTES, 99);
    source.convert(
        &expected,
        "-O vmdk -o subformat=streamOptimized",
        "disk.vmdk",
    );
    let mut file = source.read("disk.vmdk");
    let header = file[..512].to_vec();
    file[56..64].fill(0xff);
    let mut marker = [0; 512];
    marker[0] = 1;
    marker[12] = 3;
    file.extend(marker);
    file.extend(header);
    file.extend([0; 512]);
    source.write("disk.vmdk", &file);
    let view = assert_as_qemu(&source, "disk.vmdk", "footer");
    assert!(view == expected, "QEMU's view");
    source.write("disk.vmdk", &file[..file.len() - 1024]);
    assert!(
        source
            .refusal("disk.vmdk")
            .contains("footer of the stream-optimized")
    );
}

#[test]
fn grains_that_were_zeroed() {
    let source = Source::new();
    qemu_img(&source, "create -q -f vmdk -o zeroed_grain=on disk.vmdk 9M");
    qemu_io(
        &source,
        "disk.vmdk",
        &["write -P 1 0 9M", "write -z 1M 1M", "write -P 2 1500k 3k"],
    );
    let view = assert_as_qemu(&source, "disk.vmdk", "zeroed grains");
    assert_eq!((view[MIB], view[1500 << 10], view[3 * MIB]), (0, 2, 1));
}

#[test]
fn extents_of_two_gigabytes() {
    for kind in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        let source = Source::new();
        qemu_img(
            &source,
            &format!("create -q -f vmdk -o subformat={kind} disk.vmdk 5G"),
        );
        // Over the ends of extents, too.
        let writes = [
            "write -P 5 0 64k",
            "write -P 6 2097102k 128k",
            "write -P 7 4194204k 200k",
        ];
        qemu_io(&source, "disk.vmdk", &writes);
        let disk = source.disk("disk.vmdk");
        assert_eq!(disk.info().size, 5 << 30);
        let mut buf = vec![0; 256 << 10];
        for (kib, length, byte) in [(0, 64, 5), (2_097_102, 128, 6), (4_194_204, 200, 7)] {
            disk.read_at(kib << 10, &mut buf, Wait::Allowed).unwrap();
            let (written, rest) = buf.split_at(length << 10);
            assert!(written.iter().all(|found| *found == byte), "{kind}: {kib}");
            assert!(rest.iter().all(|found| *found == 0), "{kind}: behind {kib}");
        }
        disk.read_at((5 << 30) - 512, &mut buf[..512], Wait::Allowed)
            .unwrap();
    }
}

/// Extents need not end where a grain or a grain table does: VMware's of 2047 MiB do not.
#[test]
fn extents_that_end_within_a_grain_table() {
    for sectors in [18432, 18432 - 3] {
        let source = Source::new();
        let base = content(3 * sectors * 512, 93);
        source.write("base-flat.vmdk", &base);
        let flat = format!("RW {} FLAT \"base-flat.vmdk\" 0", 3 * sectors);
        source.write("base.vmdk", descriptor("monolithicFlat", 7, None, &[&flat]));
        for name in ["a", "b", "c"] {
            let size = sectors * 512;
            let options = "-f vmdk -o subformat=twoGbMaxExtentSparse";
            qemu_img(&source, &format!("create -q {options} {name}.vmdk {size}"));
        }
        // The first has no grain table, the others no grain at their end.
        let mut first = source.read("a-s001.vmdk");
        for field in [48, 56] {
            let directory = u64::from_le_bytes(first[field..field + 8].try_into().unwrap());
            let at = directory as usize * 512;
            first[at..at + 4].fill(0);
        }
        source.write("a-s001.vmdk", first);
        qemu_io(&source, "b.vmdk", &["write -P 1 0 256k"]);
        qemu_io(&source, "c.vmdk", &["write -P 2 0 256k"]);
        let lines = ["a", "b", "c"].map(|name| format!("RW {sectors} SPARSE \"{name}-s001.vmdk\""));
        let lines = lines.each_ref().map(String::as_str);
        for parent in [None, Some((7, "base.vmdk"))] {
            let text = descriptor("twoGbMaxExtentSparse", 8, parent, &lines);
            source.write("disk.vmdk", text);
            let mut expected = parent.map_or(vec![0; base.len()], |_| base.clone());
            for (start, written) in [(sectors * 512, 1), (2 * sectors * 512, 2)] {
                expected[start..start + (256 << 10)].fill(written);
            }
            let what = format!("{sectors} sectors, {parent:?}");
            assert_same(&source.disk("disk.vmdk"), &expected, &what);
            // Where a grain is cut by the extent's end, QEMU takes it to reach into the next extent.
            if sectors.is_multiple_of(128) {
                assert!(
                    qemu_view(&source, "disk.vmdk", "vmdk") == expected,
                    "{what}: QEMU's view"
                );
            }
        }
    }
}

#[test]
fn deltas_of_hosted_products() {
    for base in [
        "monolithicSparse",
        "monolithicFlat",
        "streamOptimized",
        "twoGbMaxExtentSparse",
    ] {
        let source = Source::new();
        source.convert(
            &content(BYTES, 92),
            &format!("-O vmdk -o subformat={base}"),
            "base.vmdk",
        );
        qemu_img(
            &source,
            "create -q -f vmdk -b base.vmdk -F vmdk middle.vmdk",
        );
        qemu_io(
            &source,
            "middle.vmdk",
            &["write -P 1 100k 300k", "write -P 2 3M 5k"],
        );
        qemu_img(&source, "create -q -f vmdk -b middle.vmdk -F vmdk top.vmdk");
        qemu_io(
            &source,
            "top.vmdk",
            &["write -P 3 200k 3k", "write -P 4 4M 64k"],
        );
        assert_as_qemu(&source, "top.vmdk", base);
    }
}

#[test]
fn a_directory_that_is_lost_has_a_copy() {
    let source = Source::new();
    let expected = content(MIB, 95);
    source.convert(&expected, "-O vmdk", "disk.vmdk");
    let mut file = source.read("disk.vmdk");
    let at = u64::from_le_bytes(file[56..64].try_into().unwrap()) as usize * 512;
    for entry in [0xffff_fff0_u32, 0x7fff_ffff] {
        file[at..at + 4].copy_from_slice(&entry.to_le_bytes());
        source.write("disk.vmdk", &file);
        assert_same(&source.disk("disk.vmdk"), &expected, "redundant directory");
    }
}

/// The copy speaks for that grain alone: behind it, the tables that are looked at first are good.
#[test]
fn a_grain_that_is_lost_costs_no_other_when_the_copy_is_lost_too() {
    let source = Source::new();
    let mut expected = content(MIB, 95);
    source.convert(&expected, "-O vmdk", "disk.vmdk");
    let mut file = source.read("disk.vmdk");
    let sector = |file: &[u8], at: usize| {
        u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize * 512
    };
    let (copy, table) = (sector(&file, 48), sector(&file, sector(&file, 56)));
    file[copy..copy + 4].fill(0);
    file[table + 4..table + 8].copy_from_slice(&0x7fff_fff0_u32.to_le_bytes());
    source.write("disk.vmdk", &file);
    expected[GRAIN..2 * GRAIN].fill(0);
    assert_same(&source.disk("disk.vmdk"), &expected, "both are bad");
}

#[test]
fn parents_that_are_not_the_right_ones() {
    for (id, name, expected) in [
        (7, "base.vmdk", ""),
        (7, r"C:\VMs\base.vmdk", ""),
        (
            8,
            "base.vmdk",
            "not the file that the image above was made on",
        ),
        (7, "gone.vmdk", "does not exist"),
        (7, "../../../../etc/passwd", "leads out of the source"),
        (7, "/etc/passwd", "does not exist"),
        (7, "text.vmdk", "looks like raw"),
        (7, "top.vmdk", "comes back to itself"),
    ] {
        let source = Source::new();
        source.write("text.vmdk", "not an image");
        source.write("base-flat.vmdk", content(MIB, 96));
        let line = "RW 2048 FLAT \"base-flat.vmdk\" 0";
        source.write("base.vmdk", descriptor("monolithicFlat", 7, None, &[line]));
        source.write("delta.vmdk", cowd(&vec![None; 2048]));
        let line = "RW 2048 VMFSSPARSE \"delta.vmdk\"";
        source.write(
            "top.vmdk",
            descriptor("vmfsSparse", 7, Some((id, name)), &[line]),
        );
        if expected.is_empty() {
            assert_same(&source.disk("top.vmdk"), &content(MIB, 96), name);
        } else {
            let refusal = source.refusal("top.vmdk");
            assert!(refusal.contains(expected), "{name}: {refusal}");
        }
    }
}

#[test]
fn extents_that_are_not_to_be_had() {
    for (line, expected) in [
        ("RW 2048 FLAT \"gone.vmdk\" 0", "does not exist"),
        (
            "RW 2048 FLAT \"../../../../etc/passwd\" 0",
            "leads out of the source",
        ),
        ("RW 2048 FLAT \"/etc/passwd\" 0", "leads out of the source"),
        ("RW 2048 FLAT \"nbd:localhost\" 0", "not a path"),
        ("RW 2048 FLAT \"disk.vmdk\" 0", "comes back to itself"),
        ("RW 2049 FLAT \"flat\" 0", "should have 2049 sectors"),
        ("RW 2048 FLAT \"flat\" 1", "should have 2048 sectors"),
        (
            "RW 2048 FLAT \"flat\" 36028797018963968",
            "should have 2048 sectors",
        ),
        ("RW 36028797018963968 ZERO", "too large"),
        ("RW 2048 SPARSE \"flat\"", "no sparse header"),
        ("RW 2048 VMFSSPARSE \"flat\"", "no COWD header"),
        ("RW 2048 SESPARSE \"flat\"", "no seSparse header"),
        ("RW 2048 VMFSRDM \"flat\"", "VMFSRDM"),
        (
            "RW 4096 VMFSSPARSE \"cowd\"",
            "should describe 4096 sectors",
        ),
        ("", "empty"),
    ] {
        let source = Source::new();
        source.write("flat", vec![7; MIB]);
        source.write("cowd", cowd(&vec![None; 2048]));
        source.write("disk.vmdk", descriptor("custom", 1, None, &[line]));
        let refusal = source.refusal("disk.vmdk");
        assert!(refusal.contains(expected), "{line}: {refusal}");
    }
}

/// A guest decides what its flat extent begins with.
#[test]
fn a_flat_extent_is_never_more_than_its_bytes() {
    let source = Source::new();
    source.write("secret.raw", vec![0x5e; MIB]);
    let evil = descriptor("vmfs", 1, None, &["RW 2048 FLAT \"secret.raw\" 0"]);
    let mut flat = evil.into_bytes();
    flat.resize(MIB, 0);
    for name in ["disk-flat.vmdk", "disk-f001.vmdk", "DISK-FLAT.VMDK"] {
        source.write(name, &flat);
        assert!(source.refusal(name).contains("looks like vmdk"), "{name}");
        let line = format!("RW 2048 FLAT \"{name}\" 0");
        source.write("disk.vmdk", descriptor("vmfs", 1, None, &[&line]));
        assert_same(&source.disk("disk.vmdk"), &flat, name);
    }
    // Nobody says what this is.
    source.write("disk", &flat);
    assert!(source.refusal("disk").contains("names other files"));
    source.write("disk.raw", &flat);
    assert!(source.refusal("disk.raw").contains("looks like vmdk"));
}

#[test]
fn parts_without_their_descriptor() {
    let source = Source::new();
    source.convert(
        &content(MIB, 97),
        "-O vmdk -o subformat=twoGbMaxExtentSparse",
        "disk.vmdk",
    );
    source.write("delta.vmdk", cowd(&vec![None; 2048]));
    source.write("sesparse.vmdk", sesparse(&vec![Grain::Below; 16]));
    for name in ["disk-s001.vmdk", "delta.vmdk", "sesparse.vmdk"] {
        assert!(
            source.refusal(name).contains("without its descriptor"),
            "{name}"
        );
    }
    // Named otherwise since, its descriptor inside: itself all the same.
    source.convert(&content(MIB, 98), "-O vmdk", "old.vmdk");
    fs::rename(source.file("old.vmdk"), source.file("new.vmdk")).unwrap();
    assert_same(&source.disk("new.vmdk"), &content(MIB, 98), "renamed");
    fs::rename(source.file("new.vmdk"), source.file("new")).unwrap();
    assert_same(&source.disk("new"), &content(MIB, 98), "speaks for itself");
}
