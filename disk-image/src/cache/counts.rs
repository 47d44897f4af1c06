//! What the cache counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a cache has done since it was made, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Look-ups that found their piece.
    pub hits: u64,
    /// Pieces that a reader had to get, or tried to.
    pub misses: u64,
    /// Look-ups that found a fetch under way, and waited for it.
    pub joined: u64,
    /// Bytes that its pieces cost, bookkeeping included.
    pub bytes: u64,
    /// Bytes that they may cost.
    pub limit: u64,
    /// Parts of index tables that it holds.
    pub tables: u64,
    /// Pieces of decoded data that it holds.
    pub data: u64,
    /// Pieces that had to go.
    pub evictions: u64,
    /// Fetches under way.
    pub fetching: u64,
    /// Bytes of pieces that were fetched before a reader asked for them.
    pub ahead_bytes: u64,
    /// Those of them that a reader asked for.
    pub ahead_used_bytes: u64,
    /// Those of them that went before anyone asked for them.
    pub ahead_wasted_bytes: u64,
}

/// Counted outside of the shards' locks.
#[derive(Debug, Default)]
pub(super) struct Counters {
    evictions: AtomicU64,
    ahead_wasted_bytes: AtomicU64,
}

impl Counters {
    /// A piece went.
    pub(super) fn evicted(&self, bytes: usize, ahead: bool) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
        self.not_kept(bytes, ahead);
    }

    /// A piece is not here any more, or never was.
    pub(super) fn not_kept(&self, bytes: usize, ahead: bool) {
        if ahead {
            self.ahead_wasted_bytes
                .fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Counts {
        Counts {
            evictions: self.evictions.load(Ordering::Relaxed),
            ahead_wasted_bytes: self.ahead_wasted_bytes.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }
}
