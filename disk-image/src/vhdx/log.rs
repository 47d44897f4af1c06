//! The log: changes of the file that were made safe and perhaps not carried out.
//!
//! Source: MS-VHDX 2.3, "Log". The log is a ring of entries; of all runs of entries that follow
//! each other without a gap, the newest that is whole counts. It is carried out in memory only.

use std::collections::BTreeMap;

use super::header::{PendingLog, has_right_checksum};
use super::ring::Ring;
use crate::error::OpenFault;
use crate::field::{bytes, le32, le64};
use crate::guid::Guid;

/// Entries, descriptors and data are cut in sectors of this size.
pub(super) const SECTOR: usize = 4096;

const DESCRIPTORS_AT: usize = 64;
const DESCRIPTOR_BYTES: usize = 32;

/// How many times the log may be summed up in search of entries. No two whole entries overlap,
/// so that once is enough; what was half written over costs a little more.
const MAX_SUMS: usize = 16;

/// One change of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A sector gets this content.
    Data { at: u64, content: Box<[u8; SECTOR]> },
    /// A run gets zeros.
    Zero { at: u64, bytes: u64 },
}

/// What is to be carried out, oldest change first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) changes: Vec<Change>,
    /// Bytes that the file must have had when the log was written.
    pub(super) flushed_bytes: u64,
    /// Bytes that the file has once the log is carried out.
    pub(super) file_bytes: u64,
}

/// A whole entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: usize,
    bytes: usize,
    sequence: u64,
    /// Where the oldest entry stands that is needed with this one.
    tail: usize,
}

/// Finds what is pending in the log's bytes.
pub(super) fn pending(log: &[u8], place: &PendingLog) -> Result<Pending, OpenFault> {
    let mut search = Search {
        ring: Ring(log),
        guid: place.guid,
        summed: 0,
        known: BTreeMap::new(),
    };
    let mut newest: Option<Vec<usize>> = None;
    let mut start = 0;
    while start < log.len() {
        let run = search.run(start)?;
        let Some(head) = search.entry(run.last()) else {
            start += SECTOR;
            continue;
        };
        // A run without the entry that its head calls its tail has lost its beginning.
        if let Some(from) = run.iter().position(|at| *at == head.tail) {
            let is_newer = newest
                .as_ref()
                .and_then(|newest| search.entry(newest.last()))
                .is_none_or(|best| head.sequence > best.sequence);
            if is_newer {
                newest = Some(run.get(from..).unwrap_or_default().to_vec());
            }
        }
        // One that goes on at the ring's start was the last.
        start = if head.at < start {
            log.len()
        } else {
            head.at + head.bytes
        };
    }
    if newest.is_none() {
        return Err(OpenFault::Damaged(
            "the VHDX log is pending, and no whole entry of it is left".to_owned(),
        ));
    }
    let mut pending = Pending {
        changes: Vec::new(),
        flushed_bytes: 0,
        file_bytes: 0,
    };
    for entry in newest
        .iter()
        .flatten()
        .filter_map(|at| search.entry(Some(at)))
    {
        let content = search.ring.copy(entry.at, entry.bytes).unwrap_or_default();
        pending.changes.extend(entry.changes(&content)?);
        // The last entry's are those that count.
        pending.flushed_bytes = le64(&content, 48)?;
        pending.file_bytes = le64(&content, 56)?;
    }
    if let Some(head) = search.entry(newest.as_ref().and_then(|run| run.last())) {
        search.refuse_broken_successor(&head)?;
    }
    Ok(pending)
}

/// Entries by where they stand, each summed up once.
struct Search<'a> {
    ring: Ring<'a>,
    guid: Guid,
    summed: usize,
    known: BTreeMap<usize, Option<Entry>>,
}

impl Search<'_> {
    fn entry(&self, at: Option<&usize>) -> Option<Entry> {
        *self.known.get(at?)?
    }

    /// Where the entries stand that follow each other from `start` on.
    fn run(&mut self, start: usize) -> Result<Vec<usize>, OpenFault> {
        let (mut run, mut at, mut length) = (Vec::new(), start, 0);
        let mut sequence = None;
        while length < self.ring.0.len() {
            self.look(at)?;
            let Some(entry) = self.entry(Some(&at)) else {
                break;
            };
            length += entry.bytes;
            if sequence.is_some_and(|before: u64| before.checked_add(1) != Some(entry.sequence))
                || length > self.ring.0.len()
            {
                break;
            }
            sequence = Some(entry.sequence);
            run.push(at);
            at = (at + entry.bytes) % self.ring.0.len();
        }
        Ok(run)
    }

    /// What stands behind the last entry is older, and whole: the ring is written in order. An entry
    /// there that is broken was the last, and without it the disk's content may be wrong.
    fn refuse_broken_successor(&mut self, head: &Entry) -> Result<(), OpenFault> {
        let at = (head.at + head.bytes) % self.ring.0.len();
        let next = self.ring.copy(at, SECTOR).unwrap_or_default();
        let is_ours = bytes(&next, 32).is_ok_and(|guid| Guid(guid) == self.guid);
        let is_whole = le32(&next, 8)
            .ok()
            .and_then(|length| self.ring.copy(at, length as usize))
            .is_some_and(|entry| has_right_checksum(&entry));
        if !is_whole && (is_ours || next.starts_with(b"loge")) {
            return Err(OpenFault::Damaged(
                "the last entry of the VHDX log is damaged or was not written to its end"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Takes note of whether a whole entry stands at `at`.
    fn look(&mut self, at: usize) -> Result<(), OpenFault> {
        if self.known.contains_key(&at) {
            return Ok(());
        }
        let entry = self.read(at);
        if self.summed > MAX_SUMS * self.ring.0.len() {
            return Err(OpenFault::Damaged(
                "the VHDX log consists of entries that overlap".to_owned(),
            ));
        }
        self.known.insert(at, entry);
        Ok(())
    }

    fn read(&mut self, at: usize) -> Option<Entry> {
        let head = self.ring.copy(at, SECTOR)?;
        head.starts_with(b"loge").then_some(())?;
        let length = le32(&head, 8).ok()? as usize;
        let tail = le32(&head, 12).ok()? as usize;
        let is_placed = length.is_multiple_of(SECTOR)
            && tail.is_multiple_of(SECTOR)
            && tail < self.ring.0.len();
        let is_ours = Guid(bytes(&head, 32).ok()?) == self.guid;
        (is_placed && is_ours && length >= SECTOR).then_some(())?;
        self.summed += length;
        let content = self.ring.copy(at, length)?;
        has_right_checksum(&content).then_some(())?;
        Some(Entry {
            at,
            bytes: length,
            sequence: le64(&content, 16).ok()?,
            tail,
        })
    }
}

impl Entry {
    /// Its changes in order. The checksum was right: what does not hold together here was written so.
    fn changes(&self, content: &[u8]) -> Result<Vec<Change>, OpenFault> {
        let broken =
            || OpenFault::Damaged("an entry of the VHDX log does not hold together".to_owned());
        let count = le32(content, 24)? as usize;
        let area = count
            .checked_mul(DESCRIPTOR_BYTES)
            .and_then(|bytes| bytes.checked_add(DESCRIPTORS_AT))
            .filter(|area| *area <= content.len())
            .ok_or_else(broken)?;
        let mut data_at = area.next_multiple_of(SECTOR);
        let mut changes = Vec::new();
        for index in 0..count {
            let at = DESCRIPTORS_AT + index * DESCRIPTOR_BYTES;
            let descriptor: [u8; DESCRIPTOR_BYTES] = bytes(content, at)?;
            let file_at = le64(&descriptor, 16)?;
            let is_ours = le64(&descriptor, 24)? == self.sequence;
            if !is_ours || !file_at.is_multiple_of(SECTOR as u64) {
                return Err(broken());
            }
            changes.push(if descriptor.starts_with(b"zero") {
                let length = le64(&descriptor, 8)?;
                let end = file_at.checked_add(length);
                if end.is_none() || !length.is_multiple_of(SECTOR as u64) {
                    return Err(broken());
                }
                Change::Zero {
                    at: file_at,
                    bytes: length,
                }
            } else if descriptor.starts_with(b"desc") {
                let sector: [u8; SECTOR] = bytes(content, data_at)?;
                data_at += SECTOR;
                Change::Data {
                    at: file_at,
                    content: self.sector(&descriptor, sector).ok_or_else(broken)?,
                }
            } else {
                return Err(broken());
            });
        }
        Ok(changes)
    }

    /// The first eight and the last four bytes of a data sector make room for its signature and
    /// sequence number; they stand in the descriptor.
    fn sector(
        &self,
        descriptor: &[u8; DESCRIPTOR_BYTES],
        mut sector: [u8; SECTOR],
    ) -> Option<Box<[u8; SECTOR]>> {
        let last: [u8; 4] = bytes(descriptor, 4).ok()?;
        let first: [u8; 8] = bytes(descriptor, 8).ok()?;
        let high = u64::from(le32(&sector, 4).ok()?);
        let low = u64::from(le32(&sector, SECTOR - 4).ok()?);
        (sector.starts_with(b"data") && high << 32 | low == self.sequence).then_some(())?;
        sector.get_mut(..8)?.copy_from_slice(&first);
        sector.get_mut(SECTOR - 4..)?.copy_from_slice(&last);
        Some(Box::new(sector))
    }
}
