//! What is lost with a byte that cannot be read: where files lie in a store that gives its bytes in pieces, and where one table
//! or one compressed cluster is needed for many bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk_image::{
    Cache, Damage, Disk, DiskFile, Fault, FileId, ImageFile, OpenFault, ReadError, Store, Wait,
};

use crate::source::{Numbers, Source, content, qemu_img, qemu_io};

/// Bytes that the store gives only together. Clusters have 64 KiB, so that each piece begins and ends within one.
const PIECE: u64 = 100_000;

/// Files of a folder, of which one piece is lost.
#[derive(Debug)]
struct Pieces<'a> {
    source: &'a Source,
    lost: (&'static str, u64),
}

#[derive(Debug)]
struct PiecesOfFile {
    path: Arc<Path>,
    content: Vec<u8>,
    lost: Option<u64>,
}

impl Store for Pieces<'_> {
    fn open(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        let name = path.to_str().unwrap();
        Ok(Box::new(PiecesOfFile {
            path: path.into(),
            content: self.source.read(name),
            lost: (self.lost.0 == name).then_some(self.lost.1),
        }))
    }

    fn relative(&self, _absolute: &Path) -> Option<PathBuf> {
        None
    }
}

impl ImageFile for PiecesOfFile {
    fn path(&self) -> &Arc<Path> {
        &self.path
    }

    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    fn id(&self) -> FileId {
        FileId(self.path.to_str().unwrap().bytes().map(u128::from).sum())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8], _wait: Wait) -> Result<(), Fault> {
        let end = offset + buf.len() as u64;
        let bad = self.lost.map(|piece| offset.max(piece * PIECE));
        if let Some(bad) = bad.filter(|bad| *bad < end && bad / PIECE == self.lost.unwrap()) {
            return Err(Fault::Damaged {
                good: (bad - offset) as usize,
                path: Arc::clone(&self.path),
                damage: Damage::Store("it is lost".to_owned()),
            });
        }
        buf.copy_from_slice(&self.content[offset as usize..end as usize]);
        Ok(())
    }

    fn lost_together_at(&self, offset: u64) -> u64 {
        PIECE - offset % PIECE
    }
}

/// Reads the disk as a verification does: (first byte, bytes) of each part that was given up, and whether all else is right.
fn given_up(source: &Source, lost: (&'static str, u64), expected: &[u8]) -> Vec<(u64, u64)> {
    let store = Pieces { source, lost };
    let file = DiskFile {
        name: "disk".to_owned(),
        path: "disk.qcow2".into(),
        format: None,
        sector_size: None,
        snapshot: None,
        references: PathBuf::new(),
    };
    let disk = Disk::open(&store, &file, &Arc::new(Cache::new(1 << 20))).unwrap();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < disk.info().size {
        let mut buf = vec![0; (disk.info().size - at).min(1 << 20) as usize];
        match disk.read_at(at, &mut buf, Wait::Allowed) {
            Ok(()) => {
                assert!(buf == expected[at as usize..][..buf.len()], "at {at}");
                at += buf.len() as u64;
            }
            Err(ReadError::Damaged { offset, .. }) => {
                let lost = disk.lost_together_at(offset);
                assert!(lost > 0 && offset + lost <= disk.info().size, "at {offset}");
                parts.push((offset, lost));
                let good = &mut buf[..(offset - at) as usize];
                disk.read_at(at, good, Wait::Allowed).unwrap();
                assert!(good == &expected[at as usize..offset as usize]);
                at = offset + lost;
            }
            Err(error) => panic!("{error}"),
        }
    }
    parts
}

/// Bytes that were given up.
fn sum(parts: &[(u64, u64)]) -> u64 {
    parts.iter().map(|(_, bytes)| bytes).sum()
}

#[test]
fn data_goes_by_pieces_of_the_store_and_not_by_sectors() {
    let source = Source::new();
    let expected = content(4 << 20, 131);
    source.convert(&expected, "-O qcow2", "disk.qcow2");
    let image = source.read("disk.qcow2").len() as u64;
    // Behind the header and the tables, which lie before the data.
    for piece in [5, image / PIECE / 2] {
        let parts = given_up(&source, ("disk.qcow2", piece), &expected);
        assert!((1..=3).contains(&parts.len()), "{parts:?}");
        assert_eq!(sum(&parts), PIECE, "{parts:?}");
    }
}

#[test]
fn a_lost_base_is_given_up_where_it_is_seen() {
    let source = Source::new();
    let mut expected = content(2 << 20, 132);
    source.write("base.raw", &expected);
    qemu_img(
        &source,
        "create -q -f qcow2 -b base.raw -F raw disk.qcow2 2M",
    );
    qemu_io(&source, "disk.qcow2", &["write -P 7 1088k 64k"]);
    expected[1088 << 10..1152 << 10].fill(7);
    // From 1,100,000 to 1,200,000, of which the image on top has some.
    let parts = given_up(&source, ("base.raw", 11), &expected);
    assert_eq!(parts, [(1_100_000, 14_112), (1_179_648, 20_352)]);
    let parts = given_up(&source, ("base.raw", 3), &expected);
    assert_eq!(parts, [(300_000, PIECE)]);
}

#[test]
fn a_compressed_cluster_is_given_up_whole() {
    let source = Source::new();
    // What compresses to half.
    let mut numbers = Numbers(133);
    let expected: Vec<u8> = (0..4 << 20).map(|_| numbers.below(16) as u8).collect();
    source.convert(&expected, "-c -O qcow2", "disk.qcow2");
    let parts = given_up(&source, ("disk.qcow2", 8), &expected);
    assert!(parts.len() <= 64 && sum(&parts) >= PIECE, "{parts:?}");
    let whole = |(at, bytes): &(u64, u64)| at % 65_536 == 0 && *bytes == 65_536;
    assert!(parts.iter().all(whole), "{parts:?}");
}

#[test]
fn with_a_table_goes_all_that_it_leads_to() {
    let source = Source::new();
    let expected = content(4 << 20, 134);
    source.convert(&expected, "-O qcow2 -o cluster_size=4k", "disk.qcow2");
    let image = source.read("disk.qcow2");
    let word = |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    // Of the second L2 table, which leads to the second 2 MiB, one entry, then all by its entry in the L1 table.
    let l1 = word(40) as usize;
    let l2 = (word(l1 + 8) & 0x00ff_ffff_ffff_fe00) as usize;
    for (at, lost) in [
        (l2 + 16, ((2 << 20) + 8192, 4096)),
        (l1 + 8, (2 << 20, 2 << 20)),
    ] {
        let mut damaged = image.clone();
        damaged[at + 7] |= 2;
        source.write("disk.qcow2", damaged);
        assert_eq!(given_up(&source, ("none", 0), &expected), [lost]);
    }
    source.write("disk.qcow2", &image);
    let parts = given_up(&source, ("disk.qcow2", l2 as u64 / PIECE), &expected);
    assert!(parts.contains(&(2 << 20, 2 << 20)), "{parts:?}");
}
