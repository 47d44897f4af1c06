//! Bit rot in VHDX: where there is a checksum, right data or an error.

use crate::damage::mutate;
use crate::source::{Numbers, Source};
use crate::vhdx_log::with_log;
use crate::vhdx_writer::{BAT_AT, LOG_AT, METADATA_AT};

#[test]
fn what_has_a_checksum_is_never_wrong() {
    let source = Source::new();
    let (file, expected) = with_log(0);
    source.write("disk.vhdx", &file);
    for (what, from, bytes) in [
        ("header", 64 << 10, 4096),
        ("other header", 128 << 10, 4096),
        ("fields of a header", 64 << 10, 80),
        ("fields of the other header", 128 << 10, 80),
        ("region table", 192 << 10, 64 << 10),
        ("entries of a region table", 192 << 10, 80),
        ("log", LOG_AT, 5 * 4096),
        ("heads of log entries", LOG_AT, 200),
        ("last log entry", LOG_AT + 3 * 4096, 2 * 4096),
    ] {
        let places: Vec<usize> = (from..from + bytes).collect();
        let outcome = mutate(&source, "disk.vhdx", &places, &expected, 60);
        println!("{what}: {outcome:?}");
        assert_eq!(outcome.other, 0, "{what}: {outcome:?}");
    }
}

#[test]
fn what_has_none_gives_right_data_or_an_error_mostly() {
    let source = Source::new();
    let (mut file, expected) = with_log(0);
    // The table where it belongs, and no log.
    let image = crate::vhdx_writer::Image::new(4 << 20, 512, 1 << 20);
    for at in [64 << 10, 128 << 10] {
        file[at..at + 4096].copy_from_slice(&image.header(9, [0; 16]));
    }
    for block in 0..4_u64 {
        let entry = BAT_AT + block as usize * 8;
        file[entry..entry + 8].copy_from_slice(&((4 + block) << 20 | 6).to_le_bytes());
    }
    source.write("disk.vhdx", &file);
    let mut places: Vec<usize> = (BAT_AT..BAT_AT + 32).collect();
    places.extend(METADATA_AT..METADATA_AT + 32 + 5 * 32);
    places.extend(METADATA_AT + (64 << 10)..METADATA_AT + (64 << 10) + 5 * 64);
    let outcome = mutate(&source, "disk.vhdx", &places, &expected, 600);
    println!("{outcome:?}");
    assert!(outcome.opened > 100 && outcome.right > 1000, "{outcome:?}");
    assert!(outcome.other < outcome.right, "{outcome:?}");
}

/// Every byte may be anything: no panic, no hang, no memory beyond what the file has.
#[test]
fn noise() {
    let source = Source::new();
    let (file, expected) = with_log(0);
    source.write("disk.vhdx", &file);
    let mut numbers = Numbers(7);
    let places: Vec<usize> = (0..2000).map(|_| numbers.below(3 << 20) as usize).collect();
    mutate(&source, "disk.vhdx", &places, &expected, 60);
}
