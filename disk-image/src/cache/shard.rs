//! One part of the cache, behind its lock: what is kept, in the order of use, and what is being fetched.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;

use super::counts::Counts;
use super::flight::Flight;
use super::{Key, PIECE_OVERHEAD, Piece, TABLES_STAY};
use crate::disk::Wait;

#[derive(Debug)]
pub(super) struct Shard {
    tables: LruCache<Key, Kept>,
    data: LruCache<Key, Kept>,
    flights: HashMap<Key, Arc<Flight>>,
    hits: u64,
    misses: u64,
    joined: u64,
    ahead_bytes: u64,
    ahead_used_bytes: u64,
}

/// A piece that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Bytes,
    /// The cache's clock when it was last used.
    used: u64,
    /// It was read ahead, and nobody has asked for it yet.
    ahead: bool,
}

/// Where a piece is.
pub(super) enum Look {
    Here(Bytes),
    /// Somebody fetches it.
    UnderWay(Arc<Flight>),
    /// The caller has to fetch it, and the others wait for that.
    Begun(Arc<Flight>),
    /// It would have to be waited for.
    Nowhere,
}

impl Default for Shard {
    fn default() -> Shard {
        Shard {
            tables: LruCache::unbounded(),
            data: LruCache::unbounded(),
            flights: HashMap::new(),
            hits: 0,
            misses: 0,
            joined: 0,
            ahead_bytes: 0,
            ahead_used_bytes: 0,
        }
    }
}

impl Shard {
    pub(super) fn get(&mut self, key: &Key, now: u64) -> Option<Bytes> {
        let kept = self.pieces(key.piece).get_mut(key)?;
        kept.used = now;
        let bytes = kept.bytes.clone();
        if std::mem::take(&mut kept.ahead) {
            self.ahead_used_bytes += bytes.len() as u64;
        }
        self.hits += 1;
        Some(bytes)
    }

    pub(super) fn look(&mut self, key: &Key, wait: Wait, now: u64) -> Look {
        let found = match wait {
            // It is not used yet.
            Wait::Ahead => self
                .pieces(key.piece)
                .peek(key)
                .map(|kept| kept.bytes.clone()),
            Wait::Never | Wait::Allowed => self.get(key, now),
        };
        match (found, wait) {
            (Some(bytes), _) => Look::Here(bytes),
            (None, Wait::Never) => Look::Nowhere,
            (None, Wait::Allowed | Wait::Ahead) => self.join(key, wait == Wait::Ahead),
        }
    }

    fn join(&mut self, key: &Key, ahead: bool) -> Look {
        match self.flights.entry(*key) {
            Entry::Occupied(flight) => {
                let flight = flight.get();
                if !ahead {
                    flight.want();
                    self.joined += 1;
                }
                Look::UnderWay(Arc::clone(flight))
            }
            Entry::Vacant(place) => {
                self.misses += u64::from(!ahead);
                Look::Begun(Arc::clone(place.insert(Arc::new(Flight::new(ahead)))))
            }
        }
    }

    pub(super) fn end_flight(&mut self, key: &Key) {
        self.flights.remove(key);
    }

    /// Whether what a flight has brought is read ahead, and nobody has asked for it.
    pub(super) fn is_for_later(&mut self, flight: &Flight, length: usize) -> bool {
        let (is_ahead, is_wanted) = (flight.is_ahead(), flight.is_wanted());
        if is_ahead {
            self.ahead_bytes += length as u64;
            self.ahead_used_bytes += if is_wanted { length as u64 } else { 0 };
        }
        is_ahead && !is_wanted
    }

    /// Somebody got a piece without waiting that was not here.
    pub(super) fn count_miss(&mut self) {
        self.misses += 1;
    }

    /// What was here under this key.
    pub(super) fn insert(&mut self, key: Key, kept: Kept) -> Option<Kept> {
        let replaced = self.pieces(key.piece).push(key, kept);
        replaced.map(|(_, kept)| kept)
    }

    /// How long ago that was used which has to go first, and whether it is a table. A table is taken to be younger than it is.
    pub(super) fn oldest(&self, now: u64) -> Option<(u64, bool)> {
        let age =
            |pieces: &LruCache<Key, Kept>| Some(now.saturating_sub(pieces.peek_lru()?.1.used));
        let table = age(&self.tables).map(|age| (age / TABLES_STAY, true));
        let data = age(&self.data).map(|age| (age, false));
        table.max(data)
    }

    pub(super) fn pop_oldest(&mut self, is_table: bool) -> Option<Kept> {
        let pieces = match is_table {
            true => &mut self.tables,
            false => &mut self.data,
        };
        pieces.pop_lru().map(|(_, kept)| kept)
    }

    pub(super) fn add_to(&self, counts: &mut Counts) {
        counts.hits += self.hits;
        counts.misses += self.misses;
        counts.joined += self.joined;
        counts.tables += self.tables.len() as u64;
        counts.data += self.data.len() as u64;
        counts.fetching += self.flights.len() as u64;
        counts.ahead_bytes += self.ahead_bytes;
        counts.ahead_used_bytes += self.ahead_used_bytes;
    }

    /// What its pieces cost.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        let pieces = self.tables.iter().chain(self.data.iter());
        pieces.map(|(_, kept)| kept.cost()).sum()
    }

    fn pieces(&mut self, piece: Piece) -> &mut LruCache<Key, Kept> {
        match piece {
            Piece::Table(_) => &mut self.tables,
            Piece::Data(_) => &mut self.data,
        }
    }
}

impl Kept {
    pub(super) fn new(bytes: Bytes, used: u64, ahead: bool) -> Kept {
        Kept { bytes, used, ahead }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Memory that it takes.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + PIECE_OVERHEAD
    }

    pub(super) fn is_ahead(&self) -> bool {
        self.ahead
    }
}
