//! One disk from its first byte to its last: summed up, and what cannot be read narrowed down.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use tracing::error;

use super::PIECE_BYTES;
use super::report::Report;
use crate::point::{Disk, ReadError, Wait};

/// Failed reads after which damage is looked at half as closely. So each doubling of the damage costs as many, and the ends of a
/// range are told to a small part of all damage so far: to the sector until 4096 of them, or 2 MiB in a row, are lost.
const FAILED_READS_PER_STEP: u32 = 4096;

/// The same for the time that failed reads took: a drive may try for seconds before it gives up. A gigabyte of it takes ten
/// minutes.
const FAILED_TIME_PER_STEP: Duration = Duration::from_secs(30);

/// What holes are summed up from.
static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];

/// It did not come to the disk's end: nobody wants it any more, or the log says why.
#[derive(Debug)]
pub(super) struct Stopped;

/// Reads all of a disk. Returns its SHA-256 in hex if every byte could be read.
pub(super) fn sweep(
    disk: &Disk,
    report: &mut Report,
    done: &AtomicU64,
    stop: &AtomicBool,
) -> Result<Option<String>, Stopped> {
    let info = disk.info();
    let mut sum = Some(Context::new(&SHA256));
    let mut closeness = Closeness::new(info.sector_size);
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < info.size {
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped);
        }
        let whole = PIECE_BYTES as u64;
        let length = (whole - at % whole).min(info.size - at);
        let part = usize::try_from(length)
            .ok()
            .and_then(|length| piece.get_mut(..length))
            .unwrap_or_default();
        let next = if disk.hole_at(at) >= length {
            add(&mut sum, ZEROS.get(..part.len()).unwrap_or_default());
            at + length
        } else {
            let asked = Instant::now();
            match disk.read_at(at, part, Wait::Allowed) {
                Ok(()) => {
                    add(&mut sum, part);
                    at + length
                }
                Err(ReadError::Damaged {
                    offset,
                    path,
                    damage,
                }) => {
                    // A disk that lacks a byte has no sum.
                    sum = None;
                    let (from, to) = closeness.around(offset.max(at), asked.elapsed());
                    let to = to.max(offset.saturating_add(disk.lost_together_at(offset)));
                    let (from, to) = (from.max(at), to.min(info.size));
                    report.unreadable(from, to, &path, &damage);
                    to
                }
                Err(error @ (ReadError::OutOfRange { .. } | ReadError::WouldBlock)) => {
                    error!(disk = info.name.as_str(), %error, "a verification ends before its end");
                    return Err(Stopped);
                }
            }
        };
        done.fetch_add(next - at, Ordering::Relaxed);
        at = next;
    }
    Ok(sum.map(|sum| hex(&sum.finish())))
}

fn add(sum: &mut Option<Context>, bytes: &[u8]) {
    if let Some(sum) = sum {
        sum.update(bytes);
    }
}

fn hex(sum: &Digest) -> String {
    let bytes = sum.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// How closely damage is looked at.
struct Closeness {
    sector: u64,
    /// Bytes that are given up for each failed read: a sector or a power of two times as much.
    step: u64,
    /// Since the step was chosen.
    failed: u32,
    took: Duration,
}

impl Closeness {
    fn new(sector_size: u32) -> Closeness {
        Closeness {
            sector: sector_size.into(),
            step: sector_size.into(),
            failed: 0,
            took: Duration::ZERO,
        }
    }

    /// What is given up around a byte that cannot be read, from its sector to the end of its step, after a read that took so long.
    fn around(&mut self, offset: u64, took: Duration) -> (u64, u64) {
        let from = offset / self.sector * self.sector;
        let to = (offset / self.step).saturating_add(1);
        let to = to.saturating_mul(self.step);
        self.failed += 1;
        self.took = self.took.saturating_add(took);
        if self.failed >= FAILED_READS_PER_STEP || self.took >= FAILED_TIME_PER_STEP {
            self.step = self.step.saturating_mul(2);
            (self.failed, self.took) = (0, Duration::ZERO);
        }
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failed reads until so many bytes in a row are given up, and how many bytes too much that is.
    fn failed_reads(damage: u64, took: Duration) -> (u32, u64) {
        let mut closeness = Closeness::new(512);
        let (mut at, mut failed) = (0, 0);
        while at < damage {
            let (from, to) = closeness.around(at, took);
            assert!(from <= at && to > at);
            at = to;
            failed += 1;
        }
        (failed, at - damage)
    }

    #[test]
    fn damage_is_narrowed_down_in_bounded_time() {
        let at_once = Duration::ZERO;
        assert_eq!(failed_reads(2 << 20, at_once), (4096, 0), "to the sector");
        for (damage, most) in [
            (1_u64 << 30, 40_000),
            (1 << 40, 90_000),
            (64 << 40, 110_000),
        ] {
            // One byte into the next step, so that the end fits none.
            let (failed, too_much) = failed_reads(damage + 1, at_once);
            assert!(failed <= most, "{damage}: {failed} reads");
            assert!(too_much <= damage / 2048, "{damage}: {too_much} more");
        }
        // A second each: 30 for each doubling.
        let (failed, too_much) = failed_reads((1 << 30) + 1, Duration::from_secs(1));
        assert!(failed <= 500 && too_much <= 1 << 26, "{failed}, {too_much}");
        let (failed, _) = failed_reads(64 << 40, Duration::from_secs(1));
        assert!(failed <= 1000, "{failed}");
    }
}
