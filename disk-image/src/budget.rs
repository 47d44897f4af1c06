//! What open disks hold besides the cache: files and memory. Both belong to the process, and are
//! bounded for each disk and for all together.
//!
//! Whoever wants much gets a part of what is free, so that others always find some.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::OpenFault;

/// Open files of one disk, at most: a chain of 256 images of a few files each, or a terabyte in
/// pieces of 2 GiB with a few deltas.
const MAX_DISK_FILES: usize = 2048;

/// Open files of all disks, at most. The system's limit may be lower, see [`allow_open_files`].
const MAX_FILES: usize = 65_536;

/// Open files that a disk may have as long as there are any.
const OWN_FILES: usize = 64;

/// Bytes that one disk keeps in memory for as long as it is open, at most: changes of a pending
/// VHDX log, and what is known of a VMDK's extents. Tables of any other format are in the cache.
const MAX_DISK_MEMORY: usize = 64 * 1024 * 1024;

/// The same of all disks.
const MAX_MEMORY: usize = 256 * 1024 * 1024;

/// The same that a disk may have as long as there are any: a log as Windows and QEMU make it.
const OWN_MEMORY: usize = 2 * 1024 * 1024;

/// Beyond its own, a disk may have no more than one part in so many of what is then left.
const SHARE: usize = 4;

/// What all disks of this process hold.
static OF_PROCESS: Budget = Budget {
    files: Pool::new(MAX_FILES, MAX_DISK_FILES, OWN_FILES),
    bytes: Pool::new(MAX_MEMORY, MAX_DISK_MEMORY, OWN_MEMORY),
};

/// Says how many files disks may have open, all together, if that is fewer than they may have
/// anyhow: a process has other uses for files than disks.
pub fn allow_open_files(files: u64) {
    let files = usize::try_from(files).map_or(MAX_FILES, |files| files.min(MAX_FILES));
    OF_PROCESS.files.limit.store(files, Ordering::Relaxed);
}

#[derive(Debug)]
struct Budget {
    files: Pool,
    bytes: Pool,
}

#[derive(Debug)]
struct Pool {
    limit: AtomicUsize,
    used: AtomicUsize,
    /// Of one disk: at most, and what it may have whatever others do.
    most: usize,
    own: usize,
}

/// Why nothing was taken.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// One disk has as much as any may have.
    TooMuch { limit: usize },
    /// All together have so much that no more is left for this one.
    NothingLeft { used: usize },
}

impl Pool {
    const fn new(limit: usize, most: usize, own: usize) -> Pool {
        Pool {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            most,
            own,
        }
    }

    /// Takes `more` for a disk that has `held`.
    fn take(&self, held: &AtomicUsize, more: usize) -> Result<(), Refused> {
        let has = held.load(Ordering::Relaxed);
        let wants = has.saturating_add(more);
        if wants > self.most {
            return Err(Refused::TooMuch { limit: self.most });
        }
        let limit = self.limit.load(Ordering::Relaxed);
        let fits = |used: usize| {
            let after = used.checked_add(more).filter(|after| *after <= limit)?;
            let is_fair = wants <= self.own || wants <= (limit - after) / SHARE;
            is_fair.then_some(after)
        };
        match self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
        {
            Ok(_) => {
                held.fetch_add(more, Ordering::Relaxed);
                Ok(())
            }
            Err(used) => Err(Refused::NothingLeft { used }),
        }
    }

    fn give_back(&self, held: &AtomicUsize, less: usize) {
        held.fetch_sub(less, Ordering::Relaxed);
        self.used.fetch_sub(less, Ordering::Relaxed);
    }
}

/// What one disk holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: &'static Budget,
    files: AtomicUsize,
    bytes: AtomicUsize,
}

impl Held {
    /// Nothing yet.
    pub(crate) fn new() -> Held {
        Held::of(&OF_PROCESS)
    }

    fn of(budget: &'static Budget) -> Held {
        Held {
            budget,
            files: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Room for one more open file.
    pub(crate) fn take_file(&self) -> Result<(), OpenFault> {
        let taken = self.budget.files.take(&self.files, 1);
        taken.map_err(|refused| match refused {
            Refused::TooMuch { limit } => OpenFault::TooManyFiles { limit },
            Refused::NothingLeft { .. } => OpenFault::NoFilesLeft,
        })
    }

    /// The file is closed again.
    pub(crate) fn give_back_file(&self) {
        self.budget.files.give_back(&self.files, 1);
    }

    /// Room for so many bytes, before they are allocated.
    pub(crate) fn take_bytes(&self, bytes: usize) -> Result<(), OpenFault> {
        let taken = self.budget.bytes.take(&self.bytes, bytes);
        taken.map_err(|refused| match refused {
            Refused::TooMuch { limit } => OpenFault::TooMuchMemory { limit },
            Refused::NothingLeft { used } => OpenFault::NoMemoryLeft { used },
        })
    }

    /// They turned out to be fewer.
    pub(crate) fn give_back_bytes(&self, bytes: usize) {
        self.budget.bytes.give_back(&self.bytes, bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (files, bytes) = (*self.files.get_mut(), *self.bytes.get_mut());
        self.budget.files.give_back(&self.files, files);
        self.budget.bytes.give_back(&self.bytes, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes one after the other until it is refused.
    fn take_all(pool: &Pool) -> (usize, Refused) {
        let held = AtomicUsize::new(0);
        loop {
            if let Err(refused) = pool.take(&held, 1) {
                return (held.into_inner(), refused);
            }
        }
    }

    #[test]
    fn no_disk_takes_what_others_need() {
        let pool = Pool::new(1000, 500, 10);
        assert_eq!(
            take_all(&pool),
            (200, Refused::NothingLeft { used: 200 }),
            "as much as a quarter of what is left"
        );
        assert_eq!(take_all(&pool).0, 160);
        for _ in 0..6 {
            take_all(&pool);
        }
        let used = pool.used.load(Ordering::Relaxed);
        assert!(used < 900, "eight greedy disks have {used}");
        let small = AtomicUsize::new(0);
        pool.take(&small, 10).unwrap();
        pool.give_back(&small, 4);
        pool.take(&small, 4).unwrap();
        let rest = 1000 - pool.used.load(Ordering::Relaxed);
        for _ in 0..rest {
            pool.take(&AtomicUsize::new(0), 1).unwrap();
        }
        let refused = pool.take(&AtomicUsize::new(0), 1);
        assert_eq!(refused, Err(Refused::NothingLeft { used: 1000 }));
    }

    #[test]
    fn a_disk_has_a_limit_of_its_own() {
        let pool = Pool::new(1_000_000, 500, 10);
        assert_eq!(take_all(&pool), (500, Refused::TooMuch { limit: 500 }));
        let held = AtomicUsize::new(1);
        let refused = pool.take(&held, usize::MAX);
        assert_eq!(refused, Err(Refused::TooMuch { limit: 500 }));
    }

    #[test]
    fn what_a_disk_held_is_given_back() {
        static BUDGET: Budget = Budget {
            files: Pool::new(100, 10, 10),
            bytes: Pool::new(10_000, 2000, 1000),
        };
        let used = || {
            let of = |pool: &Pool| pool.used.load(Ordering::Relaxed);
            (of(&BUDGET.files), of(&BUDGET.bytes))
        };
        let held = Held::of(&BUDGET);
        held.take_bytes(1000).unwrap();
        held.give_back_bytes(400);
        held.take_file().unwrap();
        held.take_file().unwrap();
        held.give_back_file();
        held.take_bytes(3000).unwrap_err();
        assert_eq!(used(), (1, 600));
        drop(held);
        assert_eq!(used(), (0, 0));
    }
}
