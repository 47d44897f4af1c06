//! Pieces of image files that are costly to get again: index tables and decoded clusters.
//!
//! One cache serves all disks, so that memory is bounded whatever the number of disks. A lock is
//! held for a look-up and no longer, never during I/O or decompression; two readers that miss
//! the same piece both fetch it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Parts with a lock each, so that readers of different disks seldom meet.
const SHARDS: usize = 16;

/// Least recently used pieces go first once all together have more bytes than the limit.
#[derive(Debug)]
pub struct Cache {
    shards: Vec<Mutex<Shard>>,
    next_image: AtomicU64,
}

#[derive(Debug)]
struct Shard {
    pieces: LruCache<Key, Arc<[u8]>>,
    bytes: usize,
    limit: usize,
}

/// Names one open image; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ImageId(u64);

/// Which piece of which image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) image: ImageId,
    pub(super) piece: Piece,
}

/// A piece of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    /// Part of an index table, as it stands in the file from this byte on.
    Table(u64),
    /// A decoded cluster, by the index entry that describes its compressed form.
    Cluster(u64),
}

impl Cache {
    /// A cache of so many bytes; bookkeeping comes on top, about a hundred bytes for each piece.
    pub fn new(limit: usize) -> Cache {
        let shard = || {
            let pieces = LruCache::unbounded();
            Mutex::new(Shard {
                pieces,
                bytes: 0,
                limit: limit / SHARDS,
            })
        };
        Cache {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            next_image: AtomicU64::new(0),
        }
    }

    /// A name for an image that is being opened.
    pub(super) fn new_image(&self) -> ImageId {
        ImageId(self.next_image.fetch_add(1, Ordering::Relaxed))
    }

    /// A piece, if it is here.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<[u8]>> {
        self.shard(key)?.pieces.get(key).cloned()
    }

    /// Keeps a piece for the next reader.
    pub(super) fn insert(&self, key: Key, piece: Arc<[u8]>) {
        if let Some(mut shard) = self.shard(&key) {
            shard.insert(key, piece);
        }
    }

    fn shard(&self, key: &Key) -> Option<MutexGuard<'_, Shard>> {
        let (Piece::Table(at) | Piece::Cluster(at)) = key.piece;
        // Offsets are multiples of powers of two: multiplication spreads them over the high bits.
        let mixed = (at ^ key.image.0.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shard = self.shards.get((mixed >> 60) as usize % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    fn insert(&mut self, key: Key, piece: Arc<[u8]>) {
        if piece.len() > self.limit {
            return;
        }
        self.bytes += piece.len();
        if let Some((_, replaced)) = self.pieces.push(key, piece) {
            self.bytes = self.bytes.saturating_sub(replaced.len());
        }
        while self.bytes > self.limit {
            let Some((_, oldest)) = self.pieces.pop_lru() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bytes_and_drops_the_oldest() {
        let cache = Cache::new(SHARDS * 8192);
        let image = cache.new_image();
        let key = |n: u64| Key {
            image,
            piece: Piece::Table(n * 4096),
        };
        for n in 0..1000 {
            cache.insert(key(n), vec![1; 4096].into());
            cache.insert(key(n), vec![2; 4096].into());
        }
        let kept: Vec<u64> = (0..1000)
            .filter(|n| cache.get(&key(*n)).is_some())
            .collect();
        assert!(kept.len() <= 2 * SHARDS && kept.len() > SHARDS, "{kept:?}");
        assert_eq!(cache.get(&key(999)).unwrap()[0], 2);
        for shard in &cache.shards {
            let shard = shard.lock().unwrap();
            let bytes: usize = shard.pieces.iter().map(|(_, piece)| piece.len()).sum();
            assert_eq!(shard.bytes, bytes);
        }
        cache.insert(key(0), vec![0; 8193].into());
        assert_eq!(
            cache.get(&key(0)),
            None,
            "a piece larger than a shard is not kept"
        );
        assert_eq!(
            cache.get(&Key {
                image: cache.new_image(),
                piece: key(999).piece
            }),
            None
        );
    }
}
