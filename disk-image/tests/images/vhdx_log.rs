//! VHDX logs that are pending: carried out in memory, as `qemu-img check -r all` does in the file.

use crate::source::{Source, assert_same, content, qemu_img, qemu_io, qemu_view};
use crate::vhdx_writer::{BAT_AT, Change, Image, LOG_AT, LOG_GUID, MIB, log_entry, seal};

/// Makes both headers say that the log is pending.
fn set_pending(file: &mut [u8], guid: &[u8]) {
    for at in [64 << 10, 128 << 10] {
        let header = &mut file[at..at + 4096];
        header[48..64].copy_from_slice(guid);
        seal(header);
    }
}

fn le64(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

/// Holds the image, unchanged, against a copy that QEMU has carried out the log of.
fn assert_as_repaired(source: &Source, what: &str) -> Vec<u8> {
    let before = source.read("disk.vhdx");
    let disk = source.disk("disk.vhdx");
    source.write("repaired.vhdx", &before);
    qemu_img(source, "check -q -r all repaired.vhdx");
    let expected = qemu_view(source, "repaired.vhdx", "vhdx");
    assert_same(&disk, &expected, what);
    assert!(
        source.read("disk.vhdx") == before,
        "{what}: the file was written to"
    );
    expected
}

/// A machine that stopped after QEMU wrote its log, and before the table.
#[test]
fn a_log_that_qemu_wrote() {
    let source = Source::new();
    qemu_img(&source, "create -q -f vhdx -o block_size=1M disk.vhdx 9M");
    qemu_io(
        &source,
        "disk.vhdx",
        &["write -P 1 0 1M", "write -P 2 1M 3M", "write -P 3 8M 64k"],
    );
    let mut file = source.read("disk.vhdx");
    // QEMU has each entry carried out at once, and gives each a GUID of its own.
    let last = (LOG_AT..2 * MIB)
        .step_by(4096)
        .filter(|at| file[*at..].starts_with(b"loge"))
        .max_by_key(|at| le64(&file, at + 16))
        .unwrap();
    let guid = file[last + 32..last + 48].to_vec();
    set_pending(&mut file, &guid);
    let bat_at = le64(&file, last + 64 + 16);
    file[bat_at..bat_at + 72].fill(0);
    source.write("disk.vhdx", &file);
    let expected = assert_as_repaired(&source, "QEMU's log");
    assert_eq!((expected[0], expected[MIB], expected[8 * MIB]), (1, 2, 3));
}

/// An image whose table lies in the log alone, in entries that are put at a place of the ring.
/// Returns the file, and what the disk holds.
pub(crate) fn with_log(place: usize) -> (Vec<u8>, Vec<u8>) {
    let mut image = Image::new(4 * MIB, 512, 1 << 20);
    let expected = content(4 * MIB, 60);
    image.put(0, &expected);
    let mut file = image.bytes();
    let table: [u8; 4096] = file[BAT_AT..BAT_AT + 4096].try_into().unwrap();
    let mut garbage = table;
    garbage[..64].fill(0x5a);
    file[BAT_AT..BAT_AT + 64].fill(0xa5);
    let bytes = file.len() as u64;
    let at = BAT_AT as u64;
    // The second entry takes back what the first did; the third is right.
    let changes = [
        vec![Change::Data(at, &garbage), Change::Zero(at + 4096, 8192)],
        vec![Change::Zero(at, 65536)],
        vec![Change::Data(at, &table)],
    ];
    let tail = place as u32;
    let mut position = place;
    for (index, changes) in changes.iter().enumerate() {
        let entry = log_entry(10 + index as u64, tail, bytes, changes);
        put(&mut file, position, &entry);
        position += entry.len();
    }
    set_pending(&mut file, &LOG_GUID);
    (file, expected)
}

/// Writes into the ring.
fn put(file: &mut [u8], place: usize, entry: &[u8]) {
    for (index, part) in entry.chunks(4096).enumerate() {
        let at = LOG_AT + (place + index * 4096) % MIB;
        file[at..at + 4096].copy_from_slice(part);
    }
}

#[test]
fn several_entries_in_order() {
    let source = Source::new();
    let (file, expected) = with_log(0);
    source.write("disk.vhdx", file);
    assert!(assert_as_repaired(&source, "three entries") == expected);
}

#[test]
fn entries_that_go_on_at_the_start_of_the_ring() {
    for sectors in 1..=5 {
        let source = Source::new();
        let (file, expected) = with_log(MIB - sectors * 4096);
        source.write("disk.vhdx", file);
        assert!(
            assert_as_repaired(&source, "wrapped") == expected,
            "{sectors} sectors before the end"
        );
    }
}

#[test]
fn what_is_older_does_not_count() {
    let source = Source::new();
    let (mut file, expected) = with_log(64 << 10);
    let at = BAT_AT as u64;
    let bytes = file.len() as u64;
    // Of an earlier use of the ring.
    put(
        &mut file,
        0,
        &log_entry(3, 0, bytes, &[Change::Zero(at, 4096)]),
    );
    // Of another log.
    let mut other = log_entry(99, 512 << 10, bytes, &[Change::Zero(at, 4096)]);
    other[32..48].fill(0x11);
    seal(&mut other);
    put(&mut file, 512 << 10, &other);
    // Newer, but the entry that it calls its tail is gone.
    put(
        &mut file,
        768 << 10,
        &log_entry(50, 700 << 10, bytes, &[Change::Zero(at, 4096)]),
    );
    source.write("disk.vhdx", &file);
    assert_same(&source.disk("disk.vhdx"), &expected, "the newest whole run");
}

#[test]
fn blocks_that_only_the_log_knows_may_lie_behind_the_end_of_the_file() {
    let source = Source::new();
    let (file, _) = with_log(0);
    let mut table = [0; 4096];
    let end = file.len() as u64;
    table[..8].copy_from_slice(&(end | 6).to_le_bytes());
    let mut file = Image::new(4 * MIB, 512, 1 << 20).bytes();
    file.resize(end as usize, 0);
    let mut entry = log_entry(1, 0, end, &[Change::Data(BAT_AT as u64, &table)]);
    entry[56..64].copy_from_slice(&(end + (1 << 20)).to_le_bytes());
    seal(&mut entry);
    put(&mut file, 0, &entry);
    set_pending(&mut file, &LOG_GUID);
    source.write("disk.vhdx", file);
    assert_same(
        &source.disk("disk.vhdx"),
        &vec![0; 4 * MIB],
        "zeros behind the end",
    );
}

#[test]
fn logs_that_cannot_be_carried_out() {
    let source = Source::new();
    let refusal = |file: &[u8]| {
        source.write("disk.vhdx", file);
        source.refusal("disk.vhdx")
    };
    let (good, _) = with_log(0);
    let mut file = good.clone();
    for at in (LOG_AT..2 * MIB).step_by(4096) {
        file[at] ^= 1;
    }
    assert!(refusal(&file).contains("no whole entry"), "nothing left");
    assert!(
        refusal(&good[..5 * MIB]).contains("its log was written when it had"),
        "cut off"
    );
    // The next entry, of which the end was not written, or one that was and is damaged.
    for byte in [0, 10, 20, 40, 5000] {
        let mut file = good.clone();
        let mut torn = log_entry(
            13,
            0,
            good.len() as u64,
            &[Change::Data(BAT_AT as u64, &[0x77; 4096])],
        );
        torn[byte] ^= 1;
        put(&mut file, 5 * 4096, &torn);
        assert!(
            refusal(&file).contains("not written to its end"),
            "byte {byte}"
        );
    }
    // A log of the whole address space.
    let mut file = good.clone();
    for at in [64 << 10, 128 << 10] {
        file[at + 68..at + 72].copy_from_slice(&0xfff0_0000_u32.to_le_bytes());
        seal(&mut file[at..at + 4096]);
    }
    assert!(refusal(&file).contains("does not lie within the file"));
    // Zeros over everything: the tables are gone, and no memory is spent on it.
    let mut file = good.clone();
    let all = log_entry(13, 0, good.len() as u64, &[Change::Zero(0, 1 << 63)]);
    put(&mut file, 5 * 4096, &all);
    assert!(refusal(&file).contains("region table"));
    // One copy of the header is lost, and with it perhaps the only word of the log.
    let mut file = good.clone();
    let header = &mut file[64 << 10..(64 << 10) + 4096];
    header[48..64].fill(0);
    seal(header);
    file[(128 << 10) + 200] ^= 1;
    assert!(refusal(&file).contains("spoke of a log"));
    // Lost without a word of it: the other counts.
    let mut file = good;
    file[(128 << 10) + 200] ^= 1;
    source.write("disk.vhdx", &file);
    source.disk("disk.vhdx");
}
