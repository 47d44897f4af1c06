//! Bit rot: with any byte of a header or index changed, a disk gives right data or an error.

use std::fs;

use disk_image::{Disk, ReadError, Wait};

use crate::source::{Numbers, Source, content, qemu_img};

const BYTES: usize = 1 << 20;
const MUTATIONS: usize = 1500;

/// Where the header, the L1 table and the L2 tables of a small image stand.
fn index_bytes(image: &[u8], cluster: usize) -> Vec<usize> {
    let word = |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    let l1_at = word(40) as usize;
    let l1_entries = u32::from_be_bytes(image[36..40].try_into().unwrap()) as usize;
    let l1 = l1_at..l1_at + l1_entries * 8;
    let mut bytes: Vec<usize> = (0..256).chain(l1.clone()).collect();
    for entry in l1.step_by(8) {
        let l2_at = (word(entry) & 0x00ff_ffff_ffff_fe00) as usize;
        if l2_at != 0 {
            bytes.extend(l2_at..l2_at + cluster.min(600));
        }
    }
    bytes
}

/// What reads of a damaged image gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How often the disk opened.
    pub(crate) opened: usize,
    /// Reads with the right data.
    pub(crate) right: usize,
    /// Reads with other data: wrong in a way that no reader of the format could know.
    pub(crate) other: usize,
}

/// Opens `name` again and again with bytes changed at some of these places.
pub(crate) fn mutate(
    source: &Source,
    name: &str,
    places: &[usize],
    expected: &[u8],
    mutations: usize,
) -> Outcome {
    mutate_part(source, name, name, places, expected, mutations)
}

/// The same, with the bytes changed in another file that belongs to the disk.
pub(crate) fn mutate_part(
    source: &Source,
    name: &str,
    part: &str,
    places: &[usize],
    expected: &[u8],
    mutations: usize,
) -> Outcome {
    let image = source.read(part);
    let mut numbers = Numbers(places.len() as u64);
    let mut outcome = Outcome::default();
    for _ in 0..mutations {
        let mut bytes = image.clone();
        for _ in 0..=numbers.below(3) {
            let place = places[numbers.below(places.len() as u64) as usize];
            bytes[place] = match numbers.below(3) {
                0 => bytes[place] ^ (1 << numbers.below(8)),
                1 => 0xff,
                _ => numbers.next() as u8,
            };
        }
        source.write(part, &bytes);
        if let Ok(disk) = source.open(name) {
            outcome.opened += 1;
            read_all(&disk, expected, &mut outcome);
        }
    }
    source.write(part, &image);
    outcome
}

/// Reads the disk, of which a mutated header may have changed the size.
fn read_all(disk: &Disk, expected: &[u8], outcome: &mut Outcome) {
    let mut buf = vec![0; 64 * 1024];
    let size = disk.info().size;
    for offset in (0..size.min(expected.len() as u64)).step_by(buf.len()) {
        let length = (size - offset).min(buf.len() as u64) as usize;
        let end = (offset as usize + length).min(expected.len());
        match disk.read_at(offset, &mut buf[..length], Wait::Allowed) {
            Ok(()) if buf[..end - offset as usize] == expected[offset as usize..end] => {
                outcome.right += 1
            }
            Ok(()) => outcome.other += 1,
            Err(ReadError::Damaged { offset: at, .. }) => {
                assert!((offset..offset + length as u64).contains(&at))
            }
            Err(error) => panic!("{error}"),
        }
    }
    // The far end, which may be anywhere.
    let far = disk.read_at(size - 512, &mut buf[..512], Wait::Allowed);
    assert!(
        matches!(far, Ok(()) | Err(ReadError::Damaged { .. })),
        "{far:?}"
    );
}

#[test]
fn changed_headers_and_tables_give_right_data_or_an_error() {
    for (options, cluster, seed) in [
        ("-o compat=0.10", 65536, 31),
        ("-o cluster_size=512", 512, 32),
        ("-c -o cluster_size=4k", 4096, 33),
        ("-c -o compression_type=zstd", 65536, 34),
        ("-o extended_l2=on,cluster_size=16k", 16384, 35),
    ] {
        let source = Source::new();
        let expected = content(BYTES, seed);
        source.convert(&expected, &format!("-O qcow2 {options}"), "disk.qcow2");
        let places = index_bytes(&source.read("disk.qcow2"), cluster);
        let outcome = mutate(&source, "disk.qcow2", &places, &expected, MUTATIONS);
        println!("{options}: {outcome:?}");
        assert!(
            outcome.opened > MUTATIONS / 20 && outcome.right > 1000,
            "{options}: {outcome:?}"
        );
        // The format has no checksums: an offset that became another valid one, a cluster that
        // became "none". What is to be had then is bytes of this file or zeros.
        assert!(outcome.other < outcome.right, "{options}: {outcome:?}");
    }
}

/// What can be known to be damaged is.
#[test]
fn entries_that_the_format_forbids_are_errors() {
    let source = Source::new();
    source.write("content", vec![7; BYTES]);
    qemu_img(&source, "convert -f raw -O qcow2 content disk.qcow2");
    fs::remove_file(source.file("content")).unwrap();
    let image = fs::read(source.file("disk.qcow2")).unwrap();
    let word = |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    let l1_at = word(40) as usize;
    let l2_at = (word(l1_at) & 0x00ff_ffff_ffff_fe00) as usize;
    let read = |at: usize, value: u64, offset: u64| {
        let mut bytes = image.clone();
        bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
        source.write("disk.qcow2", &bytes);
        let disk = source.disk("disk.qcow2");
        let mut buf = [0; 4096];
        disk.read_at(offset, &mut buf, Wait::Allowed)
            .map(|()| buf[0])
    };
    let good = word(l2_at + 8);
    assert_eq!(read(l2_at + 8, good, 65536).unwrap(), 7);
    for entry in [
        good | 2,
        good | 1 << 60,
        good + 512,
        (1 << 50) | 1 << 63,
        good | 1 << 62,
        1 << 62,
    ] {
        let error = read(l2_at + 8, entry, 65536).unwrap_err();
        assert!(
            matches!(error, ReadError::Damaged { offset: 65536, .. }),
            "{entry:#x}: {error}"
        );
        assert_eq!(
            read(l2_at + 8, entry, 0).unwrap(),
            7,
            "the cluster before it is good"
        );
        assert_eq!(
            read(l2_at + 8, entry, 131_072).unwrap(),
            7,
            "the cluster behind it is good"
        );
    }
    for entry in [
        word(l1_at) | 1,
        word(l1_at) | 1 << 62,
        word(l1_at) + 512,
        1 << 54,
    ] {
        assert!(
            matches!(
                read(l1_at, entry, 0),
                Err(ReadError::Damaged { offset: 0, .. })
            ),
            "{entry:#x}"
        );
    }
}
