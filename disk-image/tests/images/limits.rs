//! What a disk may hold while it is open: files, and memory besides the cache.

use disk_image::{OpenFault, Wait};

use crate::memory::Memory;
use crate::vhdx_writer::{Change, Image, LOG_AT, LOG_GUID, MIB, log_entry, seal};
use crate::vmdk_writer::descriptor;

/// A descriptor of so many extents of one sector, whose files are called by `name`.
fn extents(count: usize, parent: Option<(u32, &str)>, name: impl Fn(usize) -> String) -> String {
    let lines = (0..count).map(|n| format!("RW 1 FLAT \"{}\" 0", name(n)));
    let lines: Vec<String> = lines.collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    descriptor("custom", 1, parent, &lines)
}

#[test]
fn a_file_is_open_once_however_many_extents_name_it() {
    let mut store = Memory::default();
    store.put(&["a.dat", "b.dat"], [7; 512]);
    store.put(&["c.dat"], [8; 512]);
    let name = |n: usize| ["a.dat", "./a.dat", "b.dat", "c.dat"][n % 4].to_owned();
    store.put(&["disk.vmdk"], extents(2048, None, name));
    let disk = store.open_disk("disk.vmdk").unwrap();
    assert_eq!(store.open_files(), 3, "the descriptor's and two more");
    let mut read = [0; 2048];
    disk.read_at(4096, &mut read, Wait::Allowed).unwrap();
    assert_eq!((read[1535], read[1536]), (7, 8));
    drop(disk);
    assert_eq!(store.open_files(), 0);

    // More names than a disk may have files, of one file.
    let names: Vec<String> = (0..2048).map(|n| format!("{n}.dat")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    store.put(&names, [7; 512]);
    let name = |n: usize| names[n].to_owned();
    store.put(&["many.vmdk"], extents(2048, None, name));
    let _disk = store.open_disk("many.vmdk").unwrap();
    assert_eq!(store.open_files(), 2);
}

#[test]
fn the_files_of_a_disk_are_limited() {
    let mut store = Memory::default();
    for n in 0..2047 {
        store.put(&[format!("{n}.dat").as_str()], [n as u8; 512]);
    }
    let name = |n| format!("{n}.dat");
    store.put(&["most.vmdk"], extents(2047, None, name));
    let disk = store.open_disk("most.vmdk").unwrap();
    assert_eq!(store.open_files(), 2048);
    drop(disk);
    store.put(
        &["one-more.vmdk"],
        extents(2047, Some((1, "most.vmdk")), name),
    );
    let refused = store.open_disk("one-more.vmdk").unwrap_err();
    assert!(
        matches!(refused.fault, OpenFault::TooManyFiles { limit: 2048 }),
        "{refused}"
    );
    assert!(refused.to_string().contains("qemu-img"), "{refused}");
    assert_eq!(store.open_files(), 0, "nothing is left open");
    store.open_disk("most.vmdk").unwrap();
}

/// An L1 table of 32 MiB in a file that is all hole: 4 KiB on a disk.
#[test]
fn opening_a_disk_does_not_read_its_tables() {
    let mut image = vec![0; (64 << 10) + (32 << 20)];
    image[..4].copy_from_slice(b"QFI\xfb");
    for (at, value) in [(4, 2_u32), (20, 9), (36, 4 << 20)] {
        image[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    for (at, value) in [(24, 128_u64 << 30), (40, 64 << 10)] {
        image[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
    let mut store = Memory::default();
    store.put(&["disk.qcow2"], image);
    let disk = store.open_disk("disk.qcow2").unwrap();
    assert_eq!(disk.info().size, 128 << 30);
    assert!(store.bytes_read() < 4096, "{}", store.bytes_read());
    let mut read = [1; 4096];
    disk.read_at((128 << 30) - 4096, &mut read, Wait::Allowed)
        .unwrap();
    assert_eq!(read, [0; 4096]);
    assert!(store.bytes_read() < 16384, "{}", store.bytes_read());
}

/// An image with a pending log of so many changed sectors, each of which is kept in memory.
fn with_sectors_pending(sectors: u64) -> Vec<u8> {
    let mut file = Image::new(MIB, 512, 1 << 20).bytes();
    let at = file.len().next_multiple_of(MIB);
    file.resize(at, 0);
    let bytes = file.len() as u64;
    let changes = (0..sectors).map(|n| Change::Data((1 << 40) + n * 4096, &[7; 4096]));
    let changes: Vec<Change<'_>> = changes.collect();
    let entry = log_entry(1, 0, bytes, &changes);
    let log_bytes = entry.len().next_multiple_of(MIB);
    file.extend(entry);
    file.resize(at + log_bytes, 0);
    for header_at in [64 << 10, 128 << 10] {
        let header = &mut file[header_at..header_at + 4096];
        header[48..64].copy_from_slice(&LOG_GUID);
        header[68..72].copy_from_slice(&(log_bytes as u32).to_le_bytes());
        header[72..80].copy_from_slice(&(at as u64).to_le_bytes());
        seal(header);
    }
    assert!(at > LOG_AT);
    file
}

#[test]
fn what_pending_logs_keep_in_memory_is_limited() {
    let mut store = Memory::default();
    // As many as fit in the largest log that is read.
    store.put(&["large.vhdx"], with_sectors_pending(4064));
    store.put(&["usual.vhdx"], with_sectors_pending(200));
    let large = store.open_disk("large.vhdx").unwrap();
    // Carrying a log out takes three times as much as the log has: less than that is left for one disk.
    let refused = store.open_disk("large.vhdx").unwrap_err();
    let OpenFault::NoMemoryLeft { used } = refused.fault else {
        panic!("{refused}");
    };
    assert!(used >= 4064 * 4096, "{used}");
    let usual = store.open_disk("usual.vhdx").unwrap();
    drop((large, usual));
    store.open_disk("large.vhdx").unwrap();
}
