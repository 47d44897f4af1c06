//! Places for reads that may block, so that a source that hangs holds some threads and not all.
//!
//! A read keeps its place until its thread is done, also when nobody waits for it any more: a session that ends, and another that
//! begins, do not make the disk any faster.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{BLOCKING_READS, BLOCKING_READS_PER_DISK};

/// The places of all disks.
#[derive(Debug)]
pub(super) struct Places {
    everywhere: Arc<Semaphore>,
    by_disk: Mutex<HashMap<DiskKey, Weak<Semaphore>>>,
}

/// One disk, whoever reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DiskKey {
    pub(super) vm: String,
    pub(super) point: String,
    pub(super) disk: String,
}

/// The places of one disk.
#[derive(Clone, Debug)]
pub(super) struct DiskPlaces {
    here: Arc<Semaphore>,
    everywhere: Arc<Semaphore>,
}

/// One read's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _here: OwnedSemaphorePermit,
    _everywhere: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            everywhere: Arc::new(Semaphore::new(BLOCKING_READS)),
            by_disk: Mutex::default(),
        }
    }

    /// The places of a disk: the same for all who read it, and for reads that outlive their sessions.
    pub(super) fn of(&self, key: DiskKey) -> DiskPlaces {
        let mut by_disk = self.by_disk.lock().unwrap_or_else(PoisonError::into_inner);
        let known = by_disk.get(&key).and_then(Weak::upgrade);
        let here = known.unwrap_or_else(|| {
            by_disk.retain(|_, places| places.strong_count() > 0);
            let new = Arc::new(Semaphore::new(BLOCKING_READS_PER_DISK));
            by_disk.insert(key, Arc::downgrade(&new));
            new
        });
        drop(by_disk);
        DiskPlaces {
            here,
            everywhere: Arc::clone(&self.everywhere),
        }
    }
}

impl DiskPlaces {
    /// Waits for a place. `None` never comes: the semaphores are not closed.
    pub(super) async fn take(&self) -> Option<Place> {
        Some(Place {
            _here: Arc::clone(&self.here).acquire_owned().await.ok()?,
            _everywhere: Arc::clone(&self.everywhere).acquire_owned().await.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(disk: &str) -> DiskKey {
        DiskKey {
            vm: "web01".into(),
            point: "p".into(),
            disk: disk.into(),
        }
    }

    #[tokio::test]
    async fn a_disk_has_its_places_once_as_long_as_one_is_taken() {
        let places = Places::new();
        let mut taken = Vec::new();
        for _ in 0..16 {
            // Nothing but the place itself is kept.
            taken.push(places.of(key("a")).take().await.unwrap());
        }
        let again = places.of(key("a"));
        assert_eq!(again.here.available_permits(), 0);
        assert_eq!(places.of(key("b")).here.available_permits(), 16);
        taken.pop();
        again.take().await.unwrap();
        drop((taken, again));
        assert_eq!(places.everywhere.available_permits(), 256);
        drop(places.of(key("c")));
        assert_eq!(places.by_disk.lock().unwrap().len(), 1);
    }
}
