//! Images that must be refused, each with a message that says why and what to do.

use crate::source::{Source, qemu_img};

/// A version 3 header; `patch` overwrites bytes of it.
fn header(patch: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    bytes[20..24].copy_from_slice(&16_u32.to_be_bytes()); // cluster_bits
    bytes[24..32].copy_from_slice(&(1_u64 << 30).to_be_bytes()); // size
    bytes[36..40].copy_from_slice(&2_u32.to_be_bytes()); // l1_size
    bytes[40..48].copy_from_slice(&0x3_0000_u64.to_be_bytes()); // l1_table_offset
    bytes[96..100].copy_from_slice(&4_u32.to_be_bytes()); // refcount_order
    bytes[100..104].copy_from_slice(&104_u32.to_be_bytes()); // header_length
    for (at, value) in patch {
        bytes[*at..at + value.len()].copy_from_slice(value);
    }
    bytes
}

fn refuses(name: &str, bytes: &[u8], word: &str) {
    let source = Source::new();
    source.write(name, bytes);
    let refusal = source.refusal();
    assert!(
        refusal.contains(word) && refusal.contains(name),
        "{refusal}"
    );
}

#[test]
fn what_is_no_image() {
    refuses(
        "disk.qcow2",
        b"just some text, long enough to be read as a header",
        "qcow2 header",
    );
    refuses("disk.qcow2", b"QF", "qcow2 header");
    refuses("disk.qcow2", b"KDMV and so on", "looks like vmdk");
    refuses("disk.vhdx", b"vhdxfile and so on", "VHDX");
    refuses("disk.vhd", &[7; 4096], "VHD");
    refuses("disk.vmdk", &[7; 4096], "looks like raw");
    refuses("disk.vdi", &[7; 4096], "VDI");
    refuses("disk.raw.zst", &[7; 4096], "archive");
    refuses("disk.bak", b"\x1f\x8b\x08 and so on", "gzip");
    refuses("disk.raw", b"", "empty");
    refuses("disk.qcow2", b"", "empty");
}

#[test]
fn a_size_that_is_no_multiple_of_the_sector() {
    refuses(
        "disk.raw",
        &[7; 5 * 512 + 1],
        "not a multiple of the 512-byte sector",
    );
    let source = Source::new();
    source.write("disk.raw", [7; 5 * 512]);
    source.write("point.toml", "sector_size = 4096");
    assert!(
        source
            .refusal()
            .contains("not a multiple of the 4096-byte sector")
    );
    source.write("disk.raw", [7; 2 * 4096]);
    assert_eq!(source.disk().info().sector_size, 4096);
}

#[test]
fn sectors_that_are_stated_otherwise_than_the_image_has_them() {
    let source = Source::new();
    qemu_img(&source, "create -q -f vhdx disk.vhdx 8M");
    assert_eq!(source.disk().info().sector_size, 512);
    source.write("point.toml", "sector_size = 4096");
    assert!(source.refusal().contains("the image has sectors of 512"));
    source.write("point.toml", "sector_size = 512");
    assert_eq!(source.disk().info().sector_size, 512);
}

#[test]
fn headers_that_promise_what_the_file_does_not_hold() {
    let gigabytes = 0x0fff_ffff_u32.to_be_bytes();
    refuses("disk.qcow2", &header(&[(36, &gigabytes)]), "over the limit");
    refuses(
        "disk.qcow2",
        &header(&[
            (36, &0x3f_ffff_u32.to_be_bytes()),
            (24, &(1_u64 << 50).to_be_bytes()),
        ]),
        "outside the file",
    );
    refuses("disk.qcow2", &header(&[]), "outside the file");
    refuses(
        "disk.qcow2",
        &header(&[(40, &u64::MAX.to_be_bytes())]),
        "not a multiple of the cluster size",
    );
    refuses(
        "disk.qcow2",
        &header(&[(40, &(u64::MAX << 16).to_be_bytes())]),
        "outside the file",
    );
    refuses(
        "disk.qcow2",
        &header(&[(24, &u64::MAX.to_be_bytes())]),
        "needs",
    );
    refuses("disk.qcow2", &header(&[])[..80], "ends inside its header");
    refuses("disk.qcow2", &header(&[])[..21], "ends inside its header");
}

#[test]
fn headers_that_contradict_themselves() {
    refuses("disk.qcow2", &header(&[(20, &8_u32.to_be_bytes())]), "2^8");
    refuses("disk.qcow2", &header(&[(20, &[0xff; 4])]), "2^4294967295");
    refuses(
        "disk.qcow2",
        &header(&[(100, &[0xff; 4])]),
        "header's length",
    );
    refuses(
        "disk.qcow2",
        &header(&[(100, &96_u32.to_be_bytes())]),
        "header's length",
    );
    refuses(
        "disk.qcow2",
        &header(&[(4, &9_u32.to_be_bytes())]),
        "version 9",
    );
    refuses(
        "disk.qcow2",
        &header(&[(4, &1_u32.to_be_bytes())]),
        "version 1",
    );
    refuses(
        "disk.qcow2",
        &header(&[(104, b"\xe2\x79\x2a\xca\xff\xff\xff\xff")]),
        "does not end within the header",
    );
    refuses(
        "disk.qcow2",
        &header(&[(8, &4000_u64.to_be_bytes()), (16, &1000_u32.to_be_bytes())]),
        "backing file's name",
    );
    // Extended L2 entries (bit 4) with clusters of 4 KiB.
    refuses(
        "disk.qcow2",
        &header(&[(79, &[0x10]), (20, &12_u32.to_be_bytes())]),
        "16 KiB",
    );
    // Compression type zstd without its feature bit.
    refuses(
        "disk.qcow2",
        &header(&[(100, &112_u32.to_be_bytes()), (104, &[1])]),
        "contradict",
    );
    // A data file (bit 2) without a name.
    refuses("disk.qcow2", &header(&[(79, &[4])]), "does not name it");
}

#[test]
fn features_that_nobody_knows_by_their_name() {
    refuses("disk.qcow2", &header(&[(72, &[0x80])]), "feature 63");
    let mut table = vec![0x68, 0x03, 0xf8, 0x57, 0, 0, 0, 48, 0, 62];
    table.extend(b"time travel");
    refuses(
        "disk.qcow2",
        &header(&[(72, &[0x40]), (104, &table)]),
        "\"time travel\"",
    );
}

#[test]
fn encrypted_images() {
    let source = Source::new();
    let key = "--object secret,id=s,data=abcdef -o encrypt.format=aes,encrypt.key-secret=s";
    qemu_img(&source, &format!("create -q -f qcow2 {key} disk.qcow2 1M"));
    assert!(source.refusal().contains("encrypted"));
    // LUKS. QEMU measures the machine's speed to make one, and fails when it is busy.
    refuses(
        "disk.qcow2",
        &header(&[(32, &2_u32.to_be_bytes())]),
        "encrypted",
    );
}

#[test]
fn a_disk_over_the_size_limit() {
    let source = Source::new();
    qemu_img(&source, "create -q -f qcow2 disk.qcow2 65T");
    assert!(source.refusal().contains("64 TiB"));
}
