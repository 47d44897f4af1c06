//! Memory for read data, of all connections together.
//!
//! A connection may always hold [`OWN_BYTES`] of read data: no other one can take that from it, so nobody starves, and who waits for
//! more has reads under way whose end makes it try again, so nobody has to be woken. What goes beyond is lent from one pool, in
//! pieces, and given back when a connection has needed less for [`QUIET_TIME`](super::limits::QUIET_TIME): one
//! atomic operation for each piece, none for a read.
//!
//! A slow reader holds what it was lent for as long as its peer takes nothing. So a connection is lent a piece only as far as it
//! then holds no more than a [`POOL_SHARE`]th of what is free: the more hold, the less each further one gets, and it takes
//! hundreds of slow readers to bring the others down to what is their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iscsi_proto::limits::READ_BUDGET;

use super::limits::{OWN_BYTES, POOL_SHARE};

/// Bytes in a piece. Large enough for any single read.
const PIECE: u32 = OWN_BYTES;

/// What is there to lend.
#[derive(Debug)]
pub(super) struct Pool {
    free: AtomicU64,
}

/// What one connection may hold. Dropping it gives back what was lent.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    /// Bytes lent, a whole number of pieces.
    lent: u32,
}

impl Pool {
    /// `bytes`: to lend beyond what each connection has of its own.
    pub(super) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            free: AtomicU64::new(bytes),
        })
    }
}

impl Lease {
    /// Nothing lent yet.
    pub(super) fn of(pool: &Arc<Pool>) -> Self {
        Self {
            pool: Arc::clone(pool),
            lent: 0,
        }
    }

    /// Bytes that the connection may hold.
    pub(super) fn allowance(&self) -> u32 {
        OWN_BYTES + self.lent
    }

    /// Takes one more piece. `false`: the connection has what it can have.
    pub(super) fn grow(&mut self) -> bool {
        if self.allowance() >= READ_BUDGET {
            return false;
        }
        let wanted = u64::from(self.lent + PIECE);
        let taken = self
            .pool
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                let may = wanted <= free / POOL_SHARE;
                may.then(|| free.saturating_sub(u64::from(PIECE)))
            })
            .is_ok();
        if taken {
            self.lent += PIECE;
        }
        taken
    }

    /// Gives back the pieces that are not needed to hold `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u32) {
        let needed = bytes.saturating_sub(OWN_BYTES).next_multiple_of(PIECE);
        let back = self.lent.saturating_sub(needed);
        if back > 0 {
            self.lent -= back;
            self.pool.free.fetch_add(u64::from(back), Ordering::Relaxed);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    fn free(pool: &Pool) -> u64 {
        pool.free.load(Ordering::Relaxed)
    }

    fn greedy(pool: &Arc<Pool>) -> Lease {
        let mut lease = Lease::of(pool);
        while lease.grow() {}
        lease
    }

    #[test]
    fn one_connection_gets_four_mib_and_gives_them_back() {
        let pool = Pool::new(1024 * MIB);
        let mut lease = greedy(&pool);
        assert_eq!(lease.allowance(), 4 * 1024 * 1024);
        assert_eq!(free(&pool), 1024 * MIB - 15 * 256 * KIB);
        lease.shrink_to(1024 * 1024 + 1);
        assert_eq!(lease.allowance(), 1024 * 1024 + 256 * 1024);
        lease.shrink_to(1);
        assert_eq!(lease.allowance(), 256 * 1024);
        assert_eq!(free(&pool), 1024 * MIB);
        drop(greedy(&pool));
        assert_eq!(free(&pool), 1024 * MIB);
    }

    #[test]
    fn those_who_hold_all_they_may_leave_something_for_the_next() {
        let pool = Pool::new(1024 * MIB);
        let slow: Vec<_> = (0..256).map(|_| greedy(&pool)).collect();
        // 256 times 4 MiB would be everything.
        assert!(free(&pool) > 96 * MIB, "{}", free(&pool));
        let next = greedy(&pool);
        assert!(next.allowance() >= 1024 * 1024, "{}", next.allowance());
        drop(slow);
        let all: Vec<_> = (0..4095).map(|_| greedy(&pool)).collect();
        assert!(free(&pool) > 0);
        assert!(all.iter().all(|lease| lease.allowance() >= 256 * 1024));
        drop((next, all));
        assert_eq!(free(&pool), 1024 * MIB);
    }

    #[test]
    fn an_empty_pool_takes_nobodys_own_share() {
        let pool = Pool::new(0);
        let lease = greedy(&pool);
        assert_eq!(lease.allowance(), 256 * 1024);
    }
}
