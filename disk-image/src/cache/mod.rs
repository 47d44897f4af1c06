//! Pieces of image files and of repositories that are costly to get again: index tables, decoded
//! clusters, decrypted chunks.
//!
//! One cache serves everything that is open, so that memory is bounded whatever the number of
//! disks. A lock is held for a look-up and no longer, never while a piece is fetched. Readers that
//! miss the same piece at one time cause one fetch, and all get what came of it.

mod counts;
mod flight;
mod shard;

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::counts::Counters;
pub use self::counts::Counts;
use self::flight::Flight;
use self::shard::{Kept, Look, Shard};
use crate::disk::Wait;
use crate::error::Damage;
use crate::store::Fault;

/// Parts with a lock each, so that readers on different threads seldom meet. All share one count of bytes: a part has no limit
/// of its own that a large piece could be too large for.
const SHARDS: usize = 8;

/// What a piece costs besides its own bytes: its place in a list and in a hash table, and the count of those who hold it.
const PIECE_OVERHEAD: usize = 192;

/// An index table goes when so many times as much has come in since it was last used as makes other data go. Tables are small
/// and lead to much data: reading a whole disk from end to end must not throw out those of all the others.
const TABLES_STAY: u64 = 8;

/// Pieces in memory, of all that is open. When they cost more than the limit, those go that were not used for longest.
#[derive(Debug)]
pub struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    limit: usize,
    /// What the pieces cost that are kept, and those that are about to be.
    bytes: AtomicUsize,
    /// Bytes that have come in: the time that ages are measured in.
    clock: AtomicU64,
    next_owner: AtomicU64,
    counters: Counters,
}

/// One image's, or one repository's, part of the cache. What two owners call their pieces never meets.
#[derive(Debug)]
pub struct Owner {
    cache: Arc<Cache>,
    id: u64,
}

/// A piece, by a number that its owner never gives to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Part of an index: small, and needed for much data. It stays for longer.
    Table(u128),
    /// Decoded data.
    Data(u128),
}

/// Which piece of which owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    owner: u64,
    piece: Piece,
}

impl Owner {
    /// For something that is being opened. The name is never given again: what is opened a second time begins with nothing.
    pub fn new(cache: &Arc<Cache>) -> Owner {
        Owner {
            id: cache.next_owner.fetch_add(1, Ordering::Relaxed),
            cache: Arc::clone(cache),
        }
    }

    /// A piece, if it is here. Never waits: an async worker may call it.
    pub fn get(&self, piece: Piece) -> Option<Bytes> {
        let key = self.key(piece);
        self.cache.shard(&key).get(&key, self.cache.now())
    }

    /// A piece, fetched if it is not here: by one of those who want it now, while the others wait for as long as that takes.
    /// All get what comes of it, also when it cannot be kept, when it fails, and when it panics ([`Damage::GivenUp`] for those
    /// who wait; `path` is then to blame). Nothing of a failure is remembered: the next reader tries again.
    ///
    /// `fetch` may fetch other pieces that it is made of, but not one that is made of this one.
    ///
    /// # Errors
    /// [`Fault::WouldBlock`] with [`Wait::Never`] when the piece is not here; else what `fetch` says, whoever called it.
    pub fn fetch(
        &self,
        piece: Piece,
        path: &Arc<Path>,
        wait: Wait,
        fetch: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<Bytes, Fault> {
        let key = self.key(piece);
        let look = self.cache.shard(&key).look(&key, wait, self.cache.now());
        match look {
            Look::Here(bytes) => Ok(bytes),
            Look::Nowhere => Err(Fault::WouldBlock),
            Look::UnderWay(flight) => flight.wait(),
            Look::Begun(flight) => {
                let lead = Lead {
                    cache: &self.cache,
                    key,
                    flight,
                    path,
                };
                lead.land(fetch())
            }
        }
    }

    /// Keeps a piece that was had without waiting.
    pub(crate) fn put(&self, piece: Piece, bytes: Vec<u8>) -> Bytes {
        let (key, bytes) = (self.key(piece), exact(bytes));
        self.cache.shard(&key).count_miss();
        self.cache.keep(key, bytes.clone(), None);
        bytes
    }

    fn key(&self, piece: Piece) -> Key {
        Key {
            owner: self.id,
            piece,
        }
    }
}

/// A fetch that all others wait for. When it is dropped before it has landed, they are told.
struct Lead<'a> {
    cache: &'a Cache,
    key: Key,
    flight: Arc<Flight>,
    path: &'a Arc<Path>,
}

impl Lead<'_> {
    /// Keeps what came, and gives it to all who wait.
    fn land(self, fetched: Result<Vec<u8>, Fault>) -> Result<Bytes, Fault> {
        let outcome = fetched.map(exact);
        if let Ok(bytes) = &outcome {
            // Kept before the flight is over, so that nobody finds neither.
            self.cache.keep(self.key, bytes.clone(), Some(&self.flight));
        }
        self.end(outcome.clone());
        outcome
    }

    fn end(&self, outcome: Result<Bytes, Fault>) {
        self.cache.shard(&self.key).end_flight(&self.key);
        self.flight.end(outcome);
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if !self.flight.is_over() {
            self.end(Err(Fault::Damaged {
                good: 0,
                path: Arc::clone(self.path),
                damage: Damage::GivenUp,
            }));
        }
    }
}

impl Cache {
    /// A cache of so many bytes, bookkeeping included. What is being fetched, and what readers hold on to, comes on top.
    pub fn new(limit: usize) -> Cache {
        Cache {
            shards: std::array::from_fn(|_| Mutex::default()),
            limit,
            bytes: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            next_owner: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    /// What was counted since it was made, and what it holds now.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counters.read();
        counts.limit = self.limit as u64;
        counts.bytes = self.bytes.load(Ordering::Relaxed) as u64;
        for shard in 0..SHARDS {
            self.lock(shard).add_to(&mut counts);
        }
        counts
    }

    /// Makes room for a piece and takes it in. One that is larger than the whole cache is not kept.
    fn keep(&self, key: Key, bytes: Bytes, flight: Option<&Flight>) {
        let (length, cost) = (bytes.len(), bytes.len() + PIECE_OVERHEAD);
        // Counted before there is room, and taken in after: what is kept never goes over the limit.
        let has_room = cost <= self.limit && self.make_room(cost);
        let mut shard = self.shard(&key);
        // Under the lock: whoever comes later does not join the flight, but finds the piece.
        let ahead = flight.is_some_and(|flight| shard.is_for_later(flight, length));
        if !has_room {
            drop(shard);
            return self.counters.not_kept(length, ahead);
        }
        let now = self.clock.fetch_add(cost as u64, Ordering::Relaxed) + cost as u64;
        let replaced = shard.insert(key, Kept::new(bytes, now, ahead));
        drop(shard);
        if let Some(replaced) = replaced {
            self.bytes.fetch_sub(replaced.cost(), Ordering::Relaxed);
            self.counters.not_kept(replaced.len(), replaced.is_ahead());
        }
    }

    /// `false`: there is nothing more that could go, because others are about to fill all there is.
    fn make_room(&self, cost: usize) -> bool {
        self.bytes.fetch_add(cost, Ordering::Relaxed);
        while self.bytes.load(Ordering::Relaxed) > self.limit {
            let now = self.now();
            let ages = (0..SHARDS).filter_map(|shard| Some((self.lock(shard).oldest(now)?, shard)));
            let Some(((_, is_table), shard)) = ages.max() else {
                self.bytes.fetch_sub(cost, Ordering::Relaxed);
                return false;
            };
            // Freed after the lock is let go.
            let gone = self.lock(shard).pop_oldest(is_table);
            if let Some(gone) = gone {
                self.bytes.fetch_sub(gone.cost(), Ordering::Relaxed);
                self.counters.evicted(gone.len(), gone.is_ahead());
            }
        }
        true
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let (Piece::Table(at) | Piece::Data(at)) = key.piece;
        let at = at as u64 ^ (at >> 64) as u64;
        // Offsets are multiples of powers of two: multiplication spreads them over the high bits.
        let mixed = (at ^ key.owner.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.lock((mixed >> 48) as usize)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        #[expect(clippy::indexing_slicing, reason = "the index is below the length")]
        let shard = &self.shards[shard % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In memory of its own size, so that it costs what it is counted for.
fn exact(bytes: Vec<u8>) -> Bytes {
    Bytes::from(bytes.into_boxed_slice())
}

#[cfg(test)]
mod tests;
