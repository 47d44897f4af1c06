//! Places for work that may block, so that a source that hangs holds some threads and not all.
//!
//! A read, or the opening of a point's disks, keeps its place until its thread is done, also when nobody waits for it any more: a
//! session that ends, and another that begins, do not make the source any faster.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{BLOCKING_READS, BLOCKING_READS_PER_DISK, BLOCKING_READS_PER_SOURCE};

/// The places of all sources and of their disks.
#[derive(Debug)]
pub struct Places {
    everywhere: Arc<Semaphore>,
    by_source: Rooms<String>,
    by_disk: Rooms<DiskKey>,
}

/// Semaphores that are there while somebody waits for them or has a place.
type Rooms<K> = Mutex<HashMap<K, Weak<Semaphore>>>;

/// One disk, whoever reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DiskKey {
    pub(super) source: String,
    pub(super) vm: String,
    pub(super) point: String,
    pub(super) disk: String,
}

/// The places of one disk.
#[derive(Clone, Debug)]
pub(super) struct DiskPlaces {
    here: Arc<Semaphore>,
    of_source: SourcePlaces,
}

/// The places of one source.
#[derive(Clone, Debug)]
struct SourcePlaces {
    here: Arc<Semaphore>,
    everywhere: Arc<Semaphore>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _of_disk: Option<OwnedSemaphorePermit>,
    _of_source: OwnedSemaphorePermit,
    _everywhere: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            everywhere: Arc::new(Semaphore::new(BLOCKING_READS)),
            by_source: Mutex::default(),
            by_disk: Mutex::default(),
        }
    }
}

impl Places {
    /// Waits for a place to open the disks of a point of this source. `None` never comes: the semaphores are not closed.
    pub async fn opening(&self, source: &str) -> Option<Place> {
        self.of_source(source).take().await
    }

    /// The places of a disk: the same for all who read it, and for reads that outlive their sessions.
    pub(super) fn of(&self, key: DiskKey) -> DiskPlaces {
        let of_source = self.of_source(&key.source);
        DiskPlaces {
            here: room(&self.by_disk, key, BLOCKING_READS_PER_DISK),
            of_source,
        }
    }

    fn of_source(&self, source: &str) -> SourcePlaces {
        SourcePlaces {
            here: room(
                &self.by_source,
                source.to_owned(),
                BLOCKING_READS_PER_SOURCE,
            ),
            everywhere: Arc::clone(&self.everywhere),
        }
    }
}

/// The one semaphore of this key.
fn room<K: Eq + Hash>(rooms: &Rooms<K>, key: K, places: usize) -> Arc<Semaphore> {
    let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
    let known = rooms.get(&key).and_then(Weak::upgrade);
    known.unwrap_or_else(|| {
        rooms.retain(|_, room| room.strong_count() > 0);
        let new = Arc::new(Semaphore::new(places));
        rooms.insert(key, Arc::downgrade(&new));
        new
    })
}

impl DiskPlaces {
    /// Waits for a place. `None` never comes: the semaphores are not closed.
    pub(super) async fn take(&self) -> Option<Place> {
        let here = Arc::clone(&self.here).acquire_owned().await.ok()?;
        Some(Place {
            _of_disk: Some(here),
            ..self.of_source.take().await?
        })
    }

    /// A place for what nobody waits for: only where half of the source's places, and of all, are left for others. None of the
    /// disk's own is taken: those are for its readers, who may all wait for one piece.
    pub(super) fn take_spare(&self) -> Option<Place> {
        let SourcePlaces { here, everywhere } = &self.of_source;
        Some(Place {
            _of_disk: None,
            _of_source: spare(here, BLOCKING_READS_PER_SOURCE)?,
            _everywhere: spare(everywhere, BLOCKING_READS)?,
        })
    }
}

/// One of so many places, if at least half of them are left.
fn spare(room: &Arc<Semaphore>, places: usize) -> Option<OwnedSemaphorePermit> {
    if room.available_permits() <= places / 2 {
        return None;
    }
    Arc::clone(room).try_acquire_owned().ok()
}

impl SourcePlaces {
    async fn take(&self) -> Option<Place> {
        Some(Place {
            _of_disk: None,
            _of_source: Arc::clone(&self.here).acquire_owned().await.ok()?,
            _everywhere: Arc::clone(&self.everywhere).acquire_owned().await.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now_or_never<T>(what: impl Future<Output = T>) -> Option<T> {
        match pin!(what).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    fn key(source: &str, disk: &str) -> DiskKey {
        DiskKey {
            source: source.into(),
            vm: "web01".into(),
            point: "p".into(),
            disk: disk.into(),
        }
    }

    #[tokio::test]
    async fn a_disk_has_its_places_once_as_long_as_one_is_taken() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..16 {
            // Nothing but the place itself is kept.
            taken.push(places.of(key("s", "a")).take().await.unwrap());
        }
        let again = places.of(key("s", "a"));
        assert_eq!(again.here.available_permits(), 0);
        assert_eq!(places.of(key("s", "b")).here.available_permits(), 16);
        taken.pop();
        again.take().await.unwrap();
        drop((taken, again));
        assert_eq!(places.everywhere.available_permits(), 256);
        drop(places.of(key("s", "c")));
        assert_eq!(places.by_disk.lock().unwrap().len(), 1);
    }

    /// Reads and openings of one source, whatever their disks, leave places for another.
    #[tokio::test]
    async fn a_source_that_hangs_has_some_places_and_not_all() {
        let places = Places::default();
        let mut taken = Vec::new();
        for disk in 0..3 {
            for _ in 0..16 {
                let of_disk = places.of(key("dead", &disk.to_string()));
                taken.push(of_disk.take().await.unwrap());
            }
        }
        for _ in 0..16 {
            taken.push(places.opening("dead").await.unwrap());
        }
        let fresh_disk = places.of(key("dead", "another"));
        assert!(now_or_never(places.opening("dead")).is_none());
        assert!(now_or_never(fresh_disk.take()).is_none());
        assert_eq!(places.everywhere.available_permits(), 256 - 64);
        assert!(now_or_never(places.opening("good")).is_some());
        assert!(now_or_never(places.of(key("good", "0")).take()).is_some());
        taken.pop();
        fresh_disk.take().await.unwrap();
    }

    /// What is read ahead takes places that are left over, and none that readers of another disk could not have as well.
    #[tokio::test]
    async fn reading_ahead_leaves_half_of_the_places() {
        let places = Places::default();
        let ahead = places.of(key("s", "a"));
        let taken: Vec<Place> = std::iter::from_fn(|| ahead.take_spare()).collect();
        assert_eq!(taken.len(), 32);
        let mut readers = Vec::new();
        for _ in 0..16 {
            readers.push(ahead.take().await.unwrap());
            readers.push(places.of(key("s", "b")).take().await.unwrap());
        }
        drop(taken);
        assert!(ahead.take_spare().is_none(), "half of them read");
        assert_eq!(places.everywhere.available_permits(), 256 - 32);
        readers.pop();
        assert!(ahead.take_spare().is_some());
        for n in 0..3 {
            for _ in 0..33 {
                readers.extend(places.opening(&n.to_string()).await);
            }
        }
        assert!(
            places.of(key("t", "a")).take_spare().is_none(),
            "half of all"
        );
    }
}
