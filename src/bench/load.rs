//! What a session reads: where, how much, how deep, and what it has to find there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use iscsi_proto::scsi::Lun;

/// In what order blocks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// Any block may be next.
    Random,
    /// One after the other; sessions begin at places that are evenly spread over the disk.
    Sequential,
}

/// The reads of one session.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) lun: Lun,
    pub(super) pattern: Pattern,
    /// Bytes of a read.
    pub(super) bytes: u32,
    /// Logical blocks of a read.
    pub(super) blocks: u32,
    /// Reads that the disk holds, one behind the other; a shorter rest is not read.
    pub(super) places: u64,
    pub(super) reference: Option<Arc<File>>,
}

/// Which read comes next.
pub(super) struct Order {
    pattern: Pattern,
    places: u64,
    state: u64,
}

impl Order {
    /// The order of session `number` of `sessions`; the same in each run.
    pub(super) fn new(load: &Load, number: usize, sessions: usize) -> Self {
        let (number, sessions) = (number as u128, sessions.max(1) as u128);
        let state = match load.pattern {
            Pattern::Random => number,
            Pattern::Sequential => u128::from(load.places) * number / sessions,
        };
        Self {
            pattern: load.pattern,
            places: load.places.max(1),
            state: u64::try_from(state).unwrap_or_default(),
        }
    }

    /// A place from 0 to below [`Load::places`].
    pub(super) fn next(&mut self) -> u64 {
        match self.pattern {
            Pattern::Sequential => {
                let place = self.state;
                self.state = (place + 1) % self.places;
                place
            }
            Pattern::Random => {
                let wide = u128::from(self.random()) * u128::from(self.places);
                (wide >> 64) as u64
            }
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): fast, and good enough to spread reads.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Holds what is read against the reference file. Reads the file in place: it is meant to be in the page cache.
pub(super) struct Check {
    file: Arc<File>,
    expected: Vec<u8>,
}

impl Check {
    pub(super) fn new(file: Arc<File>) -> Self {
        Self {
            file,
            expected: Vec::new(),
        }
    }

    /// Where `bytes`, which the disk gave from byte `at` on, differ first.
    ///
    /// # Errors
    /// The reference cannot be read.
    pub(super) fn difference(&mut self, at: u64, bytes: &[u8]) -> io::Result<Option<u64>> {
        self.expected.resize(bytes.len(), 0);
        self.file.read_exact_at(&mut self.expected, at)?;
        if self.expected == bytes {
            return Ok(None);
        }
        let same = self.expected.iter().zip(bytes).take_while(|(a, b)| a == b);
        Ok(Some(at + same.count() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pattern: Pattern, places: u64) -> Load {
        Load {
            lun: Lun::peripheral(0),
            pattern,
            bytes: 4096,
            blocks: 8,
            places,
            reference: None,
        }
    }

    #[test]
    fn sequential_reads_go_round_from_evenly_spread_places() {
        let load = load(Pattern::Sequential, 10);
        let mut third = Order::new(&load, 3, 4);
        let places: Vec<u64> = (0..5).map(|_| third.next()).collect();
        assert_eq!(places, [7, 8, 9, 0, 1]);
        assert_eq!(Order::new(&load, 0, 4).next(), 0);
    }

    #[test]
    fn random_reads_reach_every_place_and_none_beyond() {
        let mut order = Order::new(&load(Pattern::Random, 100), 0, 1);
        let mut seen = [0; 100];
        for _ in 0..10_000 {
            seen[usize::try_from(order.next()).unwrap()] += 1;
        }
        assert!(
            seen.iter().all(|count| (50..200).contains(count)),
            "{seen:?}"
        );
        // Sessions do not read in step.
        let first = |number| Order::new(&load(Pattern::Random, 1 << 40), number, 2).next();
        assert_ne!(first(0), first(1));
    }

    #[test]
    fn the_first_byte_that_differs_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reference");
        std::fs::write(&path, b"0123456789").unwrap();
        let mut check = Check::new(Arc::new(File::open(path).unwrap()));
        assert_eq!(check.difference(2, b"2345").unwrap(), None);
        assert_eq!(check.difference(2, b"23x5").unwrap(), Some(4));
        assert!(check.difference(8, b"89a").is_err());
    }
}
