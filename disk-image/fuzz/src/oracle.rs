//! What must hold whatever an image holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use disk_image::{Cache, Disk, DiskFile, ReadError, Wait};

use crate::store::{self, Memory};

/// Bytes that are read of files to open a disk, at most: tables are read when they are needed.
const MOST_TO_OPEN: u64 = 40 << 20;

/// Bytes of one read.
const MOST_AT_ONCE: usize = 128 << 10;

/// Opens and reads the disk that the input makes of one of these.
///
/// A disk opens or not; a read gives its bytes or names the first bad one in its range; what was read is the
/// same when it is read again, in pieces, and without waiting, and when somebody else reads it from the end on, who has
/// read nothing yet. Without changes it is what was written.
pub fn check(disks: &[store::Disk], input: &[u8]) {
    let Some((choice, changes)) = input.split_first() else {
        return;
    };
    let template = &disks[usize::from(*choice) % disks.len()];
    let memory = Memory::new(template, changes);
    let mut file = DiskFile {
        name: "disk".to_owned(),
        path: template.files[0].name.into(),
        format: None,
        sector_size: None,
        snapshot: None,
        references: Default::default(),
    };
    let cache = Arc::new(Cache::new(1 << 20));
    read(&memory, &file, &cache, template, changes.is_empty());
    for snapshot in Disk::snapshots(&memory, &file)
        .into_iter()
        .flatten()
        .take(3)
    {
        file.snapshot = Some(snapshot.id);
        read(&memory, &file, &cache, template, false);
    }
}

fn read(
    memory: &Memory,
    file: &DiskFile,
    cache: &Arc<Cache>,
    template: &store::Disk,
    is_good: bool,
) {
    memory.read.store(0, Ordering::Relaxed);
    let opened = Disk::open(memory, file, cache);
    assert!(
        memory.read.load(Ordering::Relaxed) <= MOST_TO_OPEN,
        "too much is read to open a disk"
    );
    let disk = match opened {
        Ok(disk) => disk,
        Err(error) => {
            assert!(!is_good, "{error}");
            return;
        }
    };
    let other = Disk::open(memory, file, &Arc::new(Cache::new(1 << 20)));
    let other = other.expect("it was opened before");
    let size = disk.info().size;
    assert!(size > 0 && size <= 64 << 40 && size.is_multiple_of(disk.info().sector_size.into()));
    if is_good {
        let mut all = vec![0xaa; template.expected.len()];
        disk.read_at(0, &mut all, Wait::Allowed)
            .expect("nothing was changed");
        assert!(all == template.expected);
    }
    let length = template.expected.len().min(MOST_AT_ONCE);
    let mut whole = vec![0xaa; length.min(usize::try_from(size).unwrap_or(length))];
    for from in [0, size / 2, size - whole.len() as u64] {
        let from = from.min(size - whole.len() as u64);
        match disk.read_at(from, &mut whole, Wait::Allowed) {
            Ok(()) => same(&disk, &other, from, &whole),
            Err(ReadError::Damaged { offset, .. }) => {
                assert!((from..from + whole.len() as u64).contains(&offset));
                let good = &mut whole[..(offset - from) as usize];
                disk.read_at(from, good, Wait::Allowed)
                    .expect("it is said to be good");
                same(&disk, &other, from, good);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Bytes of a piece: its ends fit no sector.
const PIECE: usize = 1777;

fn same(disk: &Disk, other: &Disk, from: u64, whole: &[u8]) {
    // Spread over the range: each piece costs more than what is in it.
    let places = (0..whole.len()).step_by(PIECE + whole.len() / 16);
    for at in places.clone() {
        same_piece(disk, from, whole, at);
    }
    for at in places.rev() {
        same_piece(other, from, whole, at);
    }
}

fn same_piece(disk: &Disk, from: u64, whole: &[u8], at: usize) {
    let expected = &whole[at..whole.len().min(at + PIECE)];
    let mut piece = [0; PIECE];
    let piece = &mut piece[..expected.len()];
    let offset = from + at as u64;
    match disk.read_at(offset, piece, Wait::Never) {
        Ok(()) => assert!(piece == expected, "without waiting, at {offset}"),
        Err(ReadError::WouldBlock) => {}
        Err(error) => panic!("{error}"),
    }
    disk.read_at(offset, piece, Wait::Allowed)
        .expect("it was good");
    assert!(piece == expected, "a piece at {offset}");
}
