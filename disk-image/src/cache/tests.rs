use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use super::*;

const READERS: u64 = 32;

fn path() -> Arc<Path> {
    Path::new("disk.qcow2").into()
}

fn cached(owner: &Owner, piece: Piece) -> Option<u8> {
    owner.get(piece).and_then(|bytes| bytes.first().copied())
}

fn damage(outcome: &Result<Bytes, Fault>) -> Option<&Damage> {
    match outcome {
        Err(Fault::Damaged { damage, .. }) => Some(damage),
        Ok(_) | Err(Fault::WouldBlock) => None,
    }
}

/// What the pieces cost that are there at one moment.
fn kept_bytes(cache: &Cache) -> usize {
    let shards: Vec<_> = (0..SHARDS).map(|shard| cache.lock(shard)).collect();
    shards.iter().map(|shard| shard.cost()).sum()
}

#[test]
fn stays_within_its_bytes_and_drops_the_oldest() {
    let cache = Arc::new(Cache::new(100 * (4096 + PIECE_OVERHEAD)));
    let owner = Owner::new(&cache);
    for n in 0..1000_u128 {
        owner.put(Piece::Data(n * 4096), vec![1; 4096]);
        owner.put(Piece::Data(n * 4096), vec![2; 4096]);
        // Always used: it never is the oldest.
        assert_eq!(cached(&owner, Piece::Data(0)), Some(2), "{n}");
    }
    let kept: Vec<u128> = (0..1000)
        .filter(|n| owner.get(Piece::Data(n * 4096)).is_some())
        .collect();
    // Room for a piece is made before it is known that it takes the place of another.
    let newest: Vec<u128> = std::iter::once(0).chain(902..1000).collect();
    assert_eq!(kept, newest);
    let counts = cache.counts();
    assert_eq!(counts.bytes, 99 * (4096 + 192));
    assert_eq!((counts.data, counts.tables), (99, 0));
    assert_eq!(kept_bytes(&cache), 99 * (4096 + 192));
    assert_eq!(counts.evictions, 901);
    let other = Owner::new(&cache);
    assert_eq!(cached(&other, Piece::Data(0)), None, "another's piece");
    assert_eq!(cached(&owner, Piece::Table(0)), None, "a table is no data");
}

#[test]
fn a_piece_may_be_as_large_as_the_cache_and_a_larger_one_is_given_and_not_kept() {
    let cache = Arc::new(Cache::new(1 << 20));
    let owner = Owner::new(&cache);
    owner.put(Piece::Data(1), vec![1; 4096]);
    let largest = (1 << 20) - PIECE_OVERHEAD;
    let fetch = |length: usize| {
        let piece = Piece::Data(length as u128);
        owner.fetch(piece, &path(), Wait::Allowed, || Ok(vec![3; length]))
    };
    assert_eq!(fetch(largest + 1).unwrap().len(), largest + 1);
    assert_eq!(cached(&owner, Piece::Data(1)), Some(1));
    assert_eq!(fetch(largest).unwrap().len(), largest);
    assert_eq!(cached(&owner, Piece::Data(1)), None);
    assert_eq!(cache.counts().bytes, 1 << 20);
    assert_eq!(cache.counts().data, 1);
}

#[test]
fn what_does_not_wait_finds_what_is_here_and_fetches_nothing() {
    let cache = Arc::new(Cache::new(1 << 20));
    let owner = Owner::new(&cache);
    let nothing = owner.fetch(Piece::Data(1), &path(), Wait::Never, || unreachable!());
    assert!(matches!(nothing, Err(Fault::WouldBlock)));
    owner.put(Piece::Data(1), vec![5]);
    let here = owner.fetch(Piece::Data(1), &path(), Wait::Never, || unreachable!());
    assert_eq!(here.unwrap(), [5][..]);
}

/// All readers want a piece that is not here. The one whose fetch begins lets it end when all others wait for it.
fn all_at_once(
    end: impl Fn() -> Result<Vec<u8>, Fault> + Sync,
) -> (Vec<Result<Bytes, Fault>>, u64, Arc<Cache>, Owner) {
    let cache = Arc::new(Cache::new(1 << 20));
    let owner = Owner::new(&cache);
    let fetches = AtomicU64::new(0);
    let begin = Barrier::new(READERS as usize);
    let read = || {
        begin.wait();
        owner.fetch(Piece::Data(7), &path(), Wait::Allowed, || {
            fetches.fetch_add(1, Ordering::Relaxed);
            while cache.counts().joined < READERS - 1 {
                thread::yield_now();
            }
            assert_eq!(cache.counts().fetching, 1);
            end()
        })
    };
    let outcomes = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        let ends = readers.into_iter().map(|reader| reader.join());
        ends.filter_map(Result::ok).collect()
    });
    let fetches = fetches.load(Ordering::Relaxed);
    (outcomes, fetches, cache, owner)
}

#[test]
fn readers_of_one_cold_piece_cause_one_fetch() {
    let (outcomes, fetches, cache, _owner) = all_at_once(|| Ok(vec![9; 100]));
    assert_eq!(fetches, 1);
    assert_eq!(outcomes.len(), 32);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), [9; 100][..]);
    }
    let counts = cache.counts();
    assert_eq!((counts.misses, counts.joined, counts.hits), (1, 31, 0));
    assert_eq!(counts.fetching, 0);
}

#[test]
fn a_fetch_that_fails_fails_for_all_who_wait_and_the_next_reader_tries_again() {
    let fails = || {
        Err(Fault::Damaged {
            good: 0,
            path: path(),
            damage: Damage::Truncated { end: 5 },
        })
    };
    let (outcomes, fetches, cache, owner) = all_at_once(fails);
    assert_eq!(fetches, 1);
    assert_eq!(outcomes.len(), 32);
    for outcome in &outcomes {
        assert_eq!(damage(outcome), Some(&Damage::Truncated { end: 5 }));
    }
    assert_eq!(cache.counts().fetching, 0);
    let again = owner.fetch(Piece::Data(7), &path(), Wait::Allowed, || Ok(vec![1]));
    assert_eq!(again.unwrap(), [1][..]);
}

#[test]
fn a_fetch_that_panics_is_told_to_all_who_wait_and_the_next_reader_tries_again() {
    let (outcomes, fetches, cache, owner) = all_at_once(|| panic!("a planted fault"));
    assert_eq!(fetches, 1);
    assert_eq!(outcomes.len(), 31, "the one that panicked has no outcome");
    for outcome in &outcomes {
        assert_eq!(damage(outcome), Some(&Damage::GivenUp));
    }
    assert_eq!(cache.counts().fetching, 0);
    let again = owner.fetch(Piece::Data(7), &path(), Wait::Allowed, || Ok(vec![1]));
    assert_eq!(again.unwrap(), [1][..]);
    let alone = catch_unwind(AssertUnwindSafe(|| {
        owner.fetch(Piece::Data(8), &path(), Wait::Allowed, || panic!("another"))
    }));
    assert!(alone.is_err());
    assert_eq!(cache.counts().fetching, 0);
}

#[test]
fn one_piece_is_fetched_within_the_fetch_of_another() {
    let cache = Arc::new(Cache::new(1 << 20));
    let (image, repository) = (Owner::new(&cache), Owner::new(&cache));
    let cluster = image.fetch(Piece::Data(1), &path(), Wait::Allowed, || {
        let chunk = repository.fetch(Piece::Data(1), &path(), Wait::Allowed, || Ok(vec![4; 10]))?;
        Ok(chunk.iter().map(|byte| byte + 1).collect())
    });
    assert_eq!(cluster.unwrap(), [5; 10][..]);
    assert_eq!(cached(&repository, Piece::Data(1)), Some(4));
}

#[test]
fn under_load_it_never_holds_more_than_its_limit() {
    const LIMIT: usize = 1 << 20;
    let cache = Arc::new(Cache::new(LIMIT));
    let owner = Owner::new(&cache);
    let rounds = AtomicU64::new(0);
    let load = |seed: u64| {
        let mut number = seed;
        for _ in 0..2000 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Up to a quarter of the cache, and now and then more than all of it.
            let length = (number >> 40) as usize
                % if number >> 61 == 0 {
                    2 * LIMIT
                } else {
                    LIMIT / 4
                };
            let name = (number >> 33) as u128 % 200;
            let piece = match number >> 63 {
                0 => Piece::Table(name),
                _ => Piece::Data(name),
            };
            owner
                .fetch(piece, &path(), Wait::Allowed, || Ok(vec![1; length]))
                .unwrap();
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for seed in 1..=8 {
            scope.spawn(move || load(seed));
        }
        while rounds.load(Ordering::Relaxed) < 16_000 {
            let kept = kept_bytes(&cache);
            assert!(kept <= LIMIT, "{kept}");
            thread::yield_now();
        }
    });
    let kept = kept_bytes(&cache);
    assert_eq!(cache.counts().bytes, kept as u64);
    assert!(kept > LIMIT / 2, "{kept}");
}

#[test]
fn reading_a_whole_disk_throws_out_no_tables_that_others_use() {
    const LIMIT: usize = 64 << 16;
    let cache = Arc::new(Cache::new(LIMIT));
    let (other, reader) = (Owner::new(&cache), Owner::new(&cache));
    for n in 0..100 {
        other.put(Piece::Table(n), vec![1; 4096]);
    }
    let read = |pieces: std::ops::Range<u128>| {
        for n in pieces {
            reader.put(Piece::Data(n), vec![2; 1 << 16]);
        }
    };
    let tables = || {
        (0..100)
            .filter(|n| other.get(Piece::Table(*n)).is_some())
            .count()
    };
    // Five times the cache, and again: in between the other uses its tables.
    read(0..320);
    assert_eq!(tables(), 100);
    read(320..640);
    assert_eq!(tables(), 100);
    // Nobody uses them any more: they go.
    read(640..1280);
    assert_eq!(tables(), 0);
}

#[test]
fn what_is_read_ahead_is_used_once_somebody_asks_or_wasted_once_it_goes() {
    let cache = Arc::new(Cache::new(10 * (1000 + PIECE_OVERHEAD)));
    let owner = Owner::new(&cache);
    let ahead = |n| owner.fetch(Piece::Data(n), &path(), Wait::Ahead, || Ok(vec![1; 1000]));
    let counts = || {
        let counts = cache.counts();
        (
            counts.ahead_bytes,
            counts.ahead_used_bytes,
            counts.ahead_wasted_bytes,
        )
    };
    for n in 0..10 {
        ahead(n).unwrap();
        ahead(n).unwrap();
    }
    assert_eq!(counts(), (10_000, 0, 0));
    assert_eq!((cache.counts().hits, cache.counts().misses), (0, 0));
    assert_eq!(cached(&owner, Piece::Data(9)), Some(1));
    assert_eq!(cached(&owner, Piece::Data(9)), Some(1));
    assert_eq!(counts(), (10_000, 1000, 0));
    for n in 10..19 {
        owner.put(Piece::Data(n), vec![1; 1000]);
    }
    assert_eq!(counts(), (10_000, 1000, 9000));
    // A reader that waits for it uses it.
    thread::scope(|scope| {
        let joined = || cache.counts().joined;
        owner
            .fetch(Piece::Data(20), &path(), Wait::Ahead, || {
                scope.spawn(|| {
                    owner.fetch(Piece::Data(20), &path(), Wait::Allowed, || unreachable!())
                });
                while joined() == 0 {
                    thread::yield_now();
                }
                Ok(vec![1; 1000])
            })
            .unwrap();
    });
    assert_eq!(counts(), (11_000, 2000, 9000));
}
