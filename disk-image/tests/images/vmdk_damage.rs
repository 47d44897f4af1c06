//! Bit rot and hostile headers in VMDK.

use disk_image::Wait;

use crate::damage::{mutate, mutate_part};
use crate::source::{Source, content};
use crate::vmdk_writer::{Grain, cowd, descriptor, hosted, sesparse};

const MIB: usize = 1 << 20;

/// A grain that is compressed has a checksum, and before it stands where it belongs.
#[test]
fn compressed_grains_are_never_wrong() {
    let source = Source::new();
    let expected = content(MIB, 101);
    source.convert(
        &expected,
        "-O vmdk -o subformat=streamOptimized",
        "disk.vmdk",
    );
    let file = source.read("disk.vmdk");
    let le64 = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let (directory, first) = (le64(56) * 512, le64(64) * 512);
    let table = u32::from_le_bytes(file[directory..directory + 4].try_into().unwrap());
    let table = table as usize * 512;
    let data: Vec<usize> = (first..file.len()).collect();
    let outcome = mutate(&source, "disk.vmdk", &data, &expected, 80);
    println!("data: {outcome:?}");
    assert!(outcome.opened == 80 && outcome.other == 0, "{outcome:?}");

    // Entries that lead to other grains.
    let entries: Vec<usize> = (table..table + 64).collect();
    let outcome = mutate(&source, "disk.vmdk", &entries, &expected, 80);
    println!("grain table: {outcome:?}");
    assert!(outcome.right > 300, "{outcome:?}");
    let mut swapped = file.clone();
    swapped.copy_within(table..table + 4, table + 4);
    source.write("disk.vmdk", &swapped);
    let disk = source.disk("disk.vmdk");
    let mut buf = [0; 512];
    // Also when the other grain is in memory already.
    for _ in 0..2 {
        let second = disk.read_at(65536, &mut buf, Wait::Allowed);
        assert!(second.unwrap_err().to_string().contains("grain marker"));
        disk.read_at(0, &mut buf, Wait::Allowed).unwrap();
        assert!(buf == expected[..512]);
    }
}

/// One stands for zeros only where the header says so, and in no other way for a place: a header is there.
#[test]
fn a_grain_is_never_where_the_header_is() {
    let source = Source::new();
    let mut grains = vec![Grain::Here(vec![7; 512]); 2048];
    grains[3] = Grain::Zero;
    let mut file = hosted(512, &grains);
    let sectors: Vec<Option<Vec<u8>>> = vec![Some(vec![7; 512]); 2048];
    let mut delta = cowd(&sectors);
    let le32 = |file: &[u8], at: usize| {
        u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize * 512
    };
    let table = le32(&delta, le32(&delta, 20));
    delta[table + 3 * 4..table + 4 * 4].copy_from_slice(&3_u32.to_le_bytes());
    source.write("delta.vmdk", &delta);
    // Without the flag for grains of zeros.
    source.write("zeros.vmdk", &file);
    file[8] = 3;
    source.write("hosted.vmdk", &file);
    for (kind, name, is_good) in [
        ("SPARSE", "zeros.vmdk", true),
        ("SPARSE", "hosted.vmdk", false),
        ("VMFSSPARSE", "delta.vmdk", false),
    ] {
        let line = format!("RW 2048 {kind} \"{name}\"");
        source.write("disk.vmdk", descriptor("custom", 1, None, &[&line]));
        let disk = source.disk("disk.vmdk");
        let mut buf = [0xee; 512];
        let third = disk.read_at(3 * 512, &mut buf, Wait::Allowed);
        match is_good {
            true => assert!(third.is_ok() && buf == [0; 512]),
            false => assert!(third.unwrap_err().to_string().contains("grain table entry")),
        }
        for good in [2, 4] {
            disk.read_at(good * 512, &mut buf, Wait::Allowed).unwrap();
            assert!(buf == [7; 512], "{name}: {good}");
        }
    }
}

#[test]
fn headers_descriptors_and_tables() {
    for options in ["monolithicSparse", "streamOptimized"] {
        let source = Source::new();
        let expected = content(MIB, 102);
        source.convert(
            &expected,
            &format!("-O vmdk -o subformat={options}"),
            "disk.vmdk",
        );
        let file = source.read("disk.vmdk");
        let mut places: Vec<usize> = (0..80).chain(512..1200).collect();
        places.extend(file.len() - 1024..file.len() - 900);
        let outcome = mutate(&source, "disk.vmdk", &places, &expected, 200);
        println!("{options}: {outcome:?}");
        assert!(
            outcome.opened > 50 && outcome.other < outcome.right,
            "{options}: {outcome:?}"
        );
    }
}

#[test]
fn tables_of_esx() {
    let sectors: Vec<Option<Vec<u8>>> = content(MIB, 103)
        .chunks(512)
        .map(|part| Some(part.to_vec()))
        .collect();
    let grains: Vec<Grain> = content(MIB, 103)
        .chunks(4096)
        .map(|part| Grain::Here(part.to_vec()))
        .collect();
    for (kind, line, file) in [
        ("vmfsSparse", "VMFSSPARSE", cowd(&sectors)),
        ("seSparse", "SESPARSE", sesparse(&grains)),
    ] {
        let source = Source::new();
        let places: Vec<usize> = (0..220)
            .chain(512..600)
            .chain(2048..2060)
            .chain(4096..5000)
            .collect();
        source.write("delta.vmdk", &file);
        let line = format!("RW 2048 {line} \"delta.vmdk\"");
        source.write("disk.vmdk", descriptor(kind, 1, None, &[&line]));
        let expected = content(MIB, 103);
        let outcome = mutate_part(&source, "disk.vmdk", "delta.vmdk", &places, &expected, 400);
        println!("{kind}: {outcome:?}");
        assert!(
            outcome.opened > 50 && outcome.right > 500,
            "{kind}: {outcome:?}"
        );
    }
}
