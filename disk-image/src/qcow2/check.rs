//! What reads of a qcow2 image do not look at: the refcounts.
//!
//! A cluster that is in use is counted. One that is counted once is used once, and by the image's current state with the
//! "copied" flag; that flag stands for just this. So an entry that was changed into another valid one is found: it leads to a
//! cluster that nobody uses, or that somebody else uses. Clusters that are counted and not used are lost room, not damage.

use std::collections::BTreeSet;

use super::entry::{self, COMPRESSED, COPIED, OFFSET};
use super::refcounts::Refcounts;
use super::{Qcow2, snapshot};
use crate::check::{Flaws, Occupied};
use crate::disk::Wait;
use crate::error::OpenFault;
use crate::field::be64;
use crate::pieces::SLICE_BYTES;

/// Clusters that are used twice and of which the users are told, at most.
const MAX_TWICE: usize = 4096;

/// Bits of the incompatible features: the refcounts may be stale, and QEMU has found the image corrupt.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;

impl Qcow2 {
    /// Tells what is not as it must be.
    pub(crate) fn check(&self, flaws: &mut Flaws<'_>) {
        let head = match self.file.read_start(super::header::FIXED_BYTES as u64 + 32) {
            Ok(head) => head,
            Err(fault) => return flaws.unused(self.file(), format!("the header: {fault}")),
        };
        let features = match self.header.version {
            2 => 0,
            _ => be64(&head, 72).unwrap_or_default(),
        };
        if features & CORRUPT != 0 {
            flaws.unused(
                self.file(),
                "QEMU has found the image corrupt and marked it so; see `qemu-img check`",
            );
        }
        if features & DIRTY != 0 {
            return;
        }
        match Refcounts::new(self, &head) {
            Ok(refcounts) => self.check_use(refcounts, &head, flaws),
            Err(fault) => flaws.unused(self.file(), format!("the refcounts: {fault}")),
        }
    }

    fn check_use(&self, refcounts: Refcounts<'_>, head: &[u8], flaws: &mut Flaws<'_>) {
        let is_current = be64(head, 40).is_ok_and(|l1| l1 == self.header.l1_offset);
        let mut check = Check {
            image: self,
            refcounts,
            is_current,
            occupied: Occupied::new(self.header.cluster_bytes(), self.file.size()),
            twice: BTreeSet::new(),
            is_unreadable: false,
            flaws,
        };
        if let Err(fault) = check.tables() {
            return check.flaws.unused(self.file(), format!("a table: {fault}"));
        }
        check.walk(Pass::Count);
        if !check.twice.is_empty() {
            check.walk(Pass::TellOfTwice);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Count,
    TellOfTwice,
}

struct Check<'a, 'f> {
    image: &'a Qcow2,
    refcounts: Refcounts<'a>,
    /// Whether it is about the current state, and not about a snapshot.
    is_current: bool,
    /// `None`: too many clusters to tell which are used twice.
    occupied: Option<Occupied>,
    twice: BTreeSet<u64>,
    /// Told already.
    is_unreadable: bool,
    flaws: &'a mut Flaws<'f>,
}

impl Check<'_, '_> {
    /// Takes the places of everything but L2 tables and data.
    fn tables(&mut self) -> Result<(), OpenFault> {
        let header = &self.image.header;
        let cluster = header.cluster_bytes();
        let mut places = vec![
            (0, cluster, "header"),
            (header.l1_offset, header.l1_entries * 8, "L1 table"),
        ];
        let (at, bytes) = self.refcounts.table();
        places.push((at, bytes, "refcount table"));
        if header.snapshots.1 > 0 {
            let bytes = snapshot::table_bytes(self.image.file(), header)?;
            places.push((header.snapshots.0, bytes, "snapshot table"));
        }
        for (at, bytes, what) in places {
            let mut at = at;
            let end = at.saturating_add(bytes);
            while at < end {
                self.count(Pass::Count, at, None, what, None);
                at = (at / cluster + 1) * cluster;
            }
        }
        for block in self.refcounts.blocks() {
            match block {
                Ok(at) => self.count(Pass::Count, at, None, "refcount block", None),
                Err(fault) => self.unreadable("the refcount table", &fault),
            }
        }
        Ok(())
    }

    /// Goes through the L1 table and all L2 tables.
    fn walk(&mut self, pass: Pass) {
        let header = &self.image.header;
        let coverage = 1_u64 << header.l2_coverage_bits();
        for index in 0..header.l1_entries {
            let from = index * coverage;
            // An entry that is not valid is found by the reads that need it; here and below.
            let entry =
                self.image
                    .pieces
                    .entry(self.image.file(), &self.image.l1, index, Wait::Allowed);
            let entry = entry.map(u64::from_be_bytes).unwrap_or_default();
            let Ok(Some(table)) = entry::l2_table(entry, header) else {
                continue;
            };
            let range = (from, from.saturating_add(coverage).min(header.size));
            let copied = Some(entry & COPIED != 0);
            self.count(pass, table, copied, "L2 table", Some(range));
            if !self.l2(pass, table, range) || !self.flaws.are_wanted() {
                return;
            }
        }
    }

    /// The entries of one L2 table. Whether to go on.
    fn l2(&mut self, pass: Pass, table: u64, (start, end): (u64, u64)) -> bool {
        let header = &self.image.header;
        let entry_bits = header.l2_entry_bits();
        let slice_bytes = SLICE_BYTES.min(header.cluster_bytes());
        let mut from = start;
        let mut at = 0;
        while from < end {
            let slice =
                self.image
                    .pieces
                    .table(self.image.file(), table + at, slice_bytes, Wait::Allowed);
            // The reads that need it tell of it.
            let Ok(slice) = slice else { return true };
            let mut within = 0;
            while within < slice_bytes && from < end {
                let entry = super::word(&slice, within).unwrap_or_default();
                let to = from.saturating_add(header.cluster_bytes()).min(end);
                self.entry(pass, entry, (from, to));
                within += 1 << entry_bits;
                from = to;
            }
            at += slice_bytes;
            if !self.flaws.are_wanted() {
                return false;
            }
        }
        true
    }

    fn entry(&mut self, pass: Pass, entry: u64, range: (u64, u64)) {
        let header = &self.image.header;
        if header.data_file.is_some() {
            // Nobody counts the clusters of another file.
            return;
        }
        if entry & COMPRESSED != 0 {
            let Ok(data) = entry::compressed(entry, 0, header) else {
                return;
            };
            if entry & COPIED != 0 && pass == Pass::Count {
                self.flaws.data(self.image.file(), range, "the L2 entry of a compressed cluster has a flag that it cannot have; restore the file from a good copy");
            }
            let cluster = header.cluster_bytes();
            let mut at = data.at / cluster * cluster;
            // The last sector may reach beyond the end of the file.
            let end = data
                .at
                .saturating_add(data.length)
                .min(self.image.file.size());
            while at < end {
                self.count(pass, at, None, "compressed data", Some(range));
                at += cluster;
            }
            return;
        }
        let at = entry & OFFSET;
        if at != 0 && at.is_multiple_of(header.cluster_bytes()) {
            self.count(pass, at, Some(entry & COPIED != 0), "data", Some(range));
        }
    }

    /// Holds one use of a cluster against its refcount.
    fn count(
        &mut self,
        pass: Pass,
        at: u64,
        copied: Option<bool>,
        what: &str,
        range: Option<(u64, u64)>,
    ) {
        let cluster = at / self.image.header.cluster_bytes();
        if pass == Pass::TellOfTwice {
            if self.twice.contains(&cluster) {
                let why = format!(
                    "the cluster at byte {at} holds {what} and is used for something else too, and counted once; restore the file from a good copy"
                );
                self.tell(range, why);
            }
            return;
        }
        let count = match self.refcounts.of(cluster) {
            Ok(count) => count,
            Err(fault) => return self.unreadable("a refcount block", &fault),
        };
        let bytes = self.image.header.cluster_bytes();
        let occupied = self.occupied.as_mut();
        let was_free = occupied.is_none_or(|occupied| occupied.take(cluster * bytes, bytes));
        if count == 1 && !was_free && self.twice.len() < MAX_TWICE {
            self.twice.insert(cluster);
        }
        if count == 0 {
            let why = format!(
                "the cluster at byte {at} holds {what} and is counted as free: the index or the refcounts are damaged; see `qemu-img check`"
            );
            self.tell(range, why);
        } else if self.is_current && copied.is_some_and(|copied| copied != (count == 1)) {
            let why = format!(
                "the cluster at byte {at} holds {what} and is counted {count} time(s), which its flags contradict: the index or the refcounts are damaged; see `qemu-img check`"
            );
            self.tell(range, why);
        }
    }

    fn tell(&mut self, range: Option<(u64, u64)>, what: String) {
        match range {
            Some(range) => self.flaws.data(self.image.file(), range, what),
            None => self.flaws.unused(self.image.file(), what),
        }
    }

    /// Of all that cannot be read, the first is told.
    fn unreadable(&mut self, part: &str, fault: &crate::store::Fault) {
        if !std::mem::replace(&mut self.is_unreadable, true) {
            self.flaws.unreadable(self.image.file(), part, fault);
        }
    }
}
