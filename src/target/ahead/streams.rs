//! Which reads of a disk follow each other, and what comes after them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::target::limits::{READ_AHEAD_BYTES, READ_AHEAD_STEP_BYTES};

/// Streams that are followed at one time: files that are copied side by side. The one that was not read for longest makes room.
const STREAMS: usize = 8;

/// Reads elsewhere after which a stream is over, and what is being read ahead for it stops.
const PATIENCE: u64 = 64;

/// How far from a stream's end a read of it may begin, in bytes: commands overtake each other, and files have small holes.
const REACH: u64 = 512 * 1024;

/// Bytes after which reads in a row are a stream. As much as the usual largest command: random reads of any size are none.
const BEGIN_AFTER: u64 = 1024 * 1024;

/// Bytes that are read ahead at first.
const FIRST_WINDOW: u64 = 2 * READ_AHEAD_STEP_BYTES;

/// The latest reads of one disk by one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    reads: u64,
}

/// Reads that follow each other.
#[derive(Debug)]
pub(super) struct Stream {
    /// From its first byte to the one behind the furthest that was read.
    range: Range<u64>,
    /// Bytes that were read of it, without those that came late.
    read: u64,
    /// Everything of it up to here has been asked for ahead.
    ahead: u64,
    /// Bytes that may be asked for beyond what was read; none yet while it may be no stream.
    window: u64,
    /// Bytes read since the window was changed.
    since: u64,
    /// The number of its latest read.
    latest: u64,
    goes_on: Arc<AtomicBool>,
}

/// How a read found what it wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// In memory.
    Hot,
    /// On its way, perhaps: something is being read ahead.
    UnderWay,
    /// Not in memory, and nothing is being read ahead.
    Cold,
}

impl Streams {
    /// The stream that a read continues, once it is one.
    pub(super) fn read(&mut self, read: Range<u64>, found: Found) -> Option<&mut Stream> {
        self.reads += 1;
        let now = self.reads;
        self.streams
            .retain(|stream| now - stream.latest <= PATIENCE);
        let known = self
            .streams
            .iter()
            .position(|stream| stream.range.end.abs_diff(read.start) <= REACH);
        let Some(known) = known else {
            self.begin(read);
            return None;
        };
        let stream = self.streams.get_mut(known)?;
        stream.latest = now;
        stream.goes_on_with(read, found).then_some(stream)
    }

    fn begin(&mut self, read: Range<u64>) {
        if self.streams.len() >= STREAMS {
            let oldest = (0..)
                .zip(&self.streams)
                .min_by_key(|(_, stream)| stream.latest);
            if let Some((oldest, _)) = oldest {
                self.streams.swap_remove(oldest);
            }
        }
        self.streams.push(Stream {
            read: read.end - read.start,
            ahead: read.end,
            range: read,
            window: 0,
            since: 0,
            latest: self.reads,
            goes_on: Arc::new(AtomicBool::new(true)),
        });
    }
}

impl Stream {
    /// Takes in one more read. `true` if it is a stream.
    fn goes_on_with(&mut self, read: Range<u64>, found: Found) -> bool {
        let length = read.end - read.start;
        let was_asked_for = self.window > 0 && read.start < self.ahead;
        let end = self.range.end.max(read.end);
        self.read += end - self.range.end.max(read.start).min(end);
        self.range.end = end;
        // Small reads that happen to be near each other leave holes; so do, for a while, commands that are overtaken.
        let is_dense = self.read >= (end - self.range.start) / 4;
        if self.read <= BEGIN_AFTER || !is_dense {
            return false;
        }
        if self.window == 0 {
            // It begins where it would wait: what is in memory already does not have to be brought there.
            if found == Found::Hot {
                return false;
            }
            self.window = FIRST_WINDOW;
        } else if was_asked_for && found == Found::Cold {
            // It was here and is gone: less has to be enough.
            self.window = (self.window / 2).max(FIRST_WINDOW);
            self.since = 0;
            self.ahead = self.range.end;
        } else {
            self.since += length;
            if self.since >= self.window {
                self.window = (self.window * 2).min(READ_AHEAD_BYTES);
                self.since = 0;
            }
        }
        self.ahead = self.ahead.max(self.range.end);
        true
    }

    /// What to read ahead now, of a disk of so many bytes: a whole step, or what is left of the disk.
    pub(super) fn next(&self, size: u64) -> Option<Range<u64>> {
        let until = (self.range.end + self.window).min(size);
        let end = (self.ahead + READ_AHEAD_STEP_BYTES).min(size);
        let is_due = self.ahead < end && end <= until;
        (is_due && self.goes_on.load(Ordering::Relaxed)).then_some(self.ahead..end)
    }

    /// It is being read, up to there.
    pub(super) fn asked(&mut self, until: u64) {
        self.ahead = until;
    }

    /// False once nobody gains by what is read for it.
    pub(super) fn goes_on(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.goes_on)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// What is asked for ahead when these reads come, and have to wait a little; in order.
    fn asked(
        streams: &mut Streams,
        size: u64,
        reads: impl Iterator<Item = Range<u64>>,
    ) -> Vec<Range<u64>> {
        let mut asked = Vec::new();
        for read in reads {
            let Some(stream) = streams.read(read, Found::UnderWay) else {
                continue;
            };
            while let Some(step) = stream.next(size) {
                stream.asked(step.end);
                asked.push(step);
            }
        }
        asked
    }

    fn sequential(from: u64, bytes: u64, each: u64) -> impl Iterator<Item = Range<u64>> {
        (from..from + bytes)
            .step_by(each as usize)
            .map(move |at| at..at + each)
    }

    fn random(bytes: u64, each: u64, count: u64) -> impl Iterator<Item = Range<u64>> {
        let mut number = 7_u64;
        (0..count).map(move |_| {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (number >> 20) % (bytes / each) * each;
            at..at + each
        })
    }

    #[test]
    fn a_stream_is_read_ahead_of_without_holes_up_to_the_window_and_the_end() {
        for each in [4096, 131_072, 262_144] {
            let streams = &mut Streams::default();
            assert_eq!(asked(streams, GIB, sequential(5 * MIB, MIB, each)), []);
            let steps = asked(streams, GIB, sequential(6 * MIB, 100 * MIB, each));
            assert_eq!(steps[0], 6 * MIB + each..7 * MIB + each);
            let mut end = steps[0].start;
            for step in &steps {
                assert_eq!((step.start, step.end - step.start), (end, MIB));
                end = step.end;
            }
            // 16 MiB ahead, less than a step short of it.
            assert!((121 * MIB..=122 * MIB).contains(&end), "{end}");
            let rest = asked(streams, GIB, sequential(106 * MIB, GIB - 106 * MIB, each));
            assert_eq!(rest.last().unwrap().end, GIB);
            assert_eq!(asked(streams, GIB, sequential(GIB - each, each, each)), []);
        }
    }

    #[test]
    fn the_window_doubles_with_each_that_was_read() {
        let streams = &mut Streams::default();
        let mut ahead = Vec::new();
        for read in sequential(0, 64 * MIB, 262_144) {
            let end = read.end;
            if let Some(stream) = streams.read(read, Found::UnderWay) {
                while let Some(step) = stream.next(GIB) {
                    stream.asked(step.end);
                }
                ahead.push((stream.ahead - end).div_ceil(MIB));
            }
        }
        ahead.dedup();
        let most = |number| ahead.iter().position(|ahead| *ahead == number);
        assert!(most(2) < most(4) && most(4) < most(8) && most(8) < most(16));
        assert_eq!(ahead.iter().max(), Some(&16));
    }

    #[test]
    fn what_was_thrown_out_before_it_was_read_makes_the_window_smaller() {
        let streams = &mut Streams::default();
        asked(streams, GIB, sequential(0, 64 * MIB, 262_144));
        let mut at = 64 * MIB;
        let mut windows = Vec::new();
        for _ in 0..4 {
            let stream = streams.read(at..at + 262_144, Found::Cold).unwrap();
            at += 262_144;
            windows.push(stream.window / MIB);
            let step = stream.next(GIB).unwrap();
            assert_eq!(step.start, at, "it is read once more");
            stream.asked(step.end);
        }
        assert_eq!(windows, [8, 4, 2, 2]);
        // A reader that has come up to what is on its way is no such case.
        let stream = streams.read(at..at + 262_144, Found::UnderWay).unwrap();
        assert_eq!(stream.window, 2 * MIB);
    }

    #[test]
    fn what_is_in_memory_already_is_not_read_ahead() {
        let streams = &mut Streams::default();
        for read in sequential(0, 64 * MIB, 131_072) {
            assert!(streams.read(read, Found::Hot).is_none());
        }
        let next = 64 * MIB..64 * MIB + 131_072;
        assert!(streams.read(next, Found::Cold).is_some());
    }

    #[test]
    fn random_reads_are_no_stream_whatever_their_size() {
        for each in [512, 4096, 65_536, 262_144, MIB] {
            let streams = &mut Streams::default();
            let reads = random(4096 * GIB, each, 20_000).flat_map(|read| {
                let cut = each.min(262_144);
                sequential(read.start, each, cut)
            });
            assert_eq!(asked(streams, 4096 * GIB, reads), [], "{each}");
        }
        // Also where many of them are near each other, or follow with holes between them.
        for bytes in [2 * MIB, 16 * MIB] {
            let streams = &mut Streams::default();
            assert_eq!(asked(streams, GIB, random(bytes, 4096, 20_000)), []);
        }
        let holes = (0..4000).map(|n| n * 131_072..n * 131_072 + 4096);
        assert_eq!(asked(&mut Streams::default(), GIB, holes), []);
    }

    #[test]
    fn streams_side_by_side_and_commands_that_overtake_each_other() {
        let streams = &mut Streams::default();
        let reads = (0..64).flat_map(|n| {
            let of = move |stream: u64| stream * GIB + (n ^ 1) * 131_072;
            (0..8).map(move |stream| of(stream)..of(stream) + 131_072)
        });
        let steps = asked(streams, 100 * GIB, reads.collect::<Vec<_>>().into_iter());
        for stream in 0..8 {
            let of_it = steps.iter().filter(|step| step.start / GIB == stream);
            assert!(of_it.count() >= 8, "{stream}: {steps:?}");
        }
    }

    #[test]
    fn a_stream_is_over_once_reads_go_elsewhere() {
        let streams = &mut Streams::default();
        asked(streams, GIB, sequential(0, 4 * MIB, 262_144));
        let goes_on = streams.streams[0].goes_on();
        assert!(goes_on.load(Ordering::Relaxed));
        let elsewhere = (0..65).map(|n| (2 + n % 2) * GIB..(2 + n % 2) * GIB + 512);
        assert_eq!(asked(streams, 8 * GIB, elsewhere), []);
        assert!(!goes_on.load(Ordering::Relaxed));
    }
}
