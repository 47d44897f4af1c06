//! What reads of a VMDK do not look at: second copies of grain tables, and grains that share a place.

use super::sparse::{Layout, SECTOR, Sparse};
use super::{Data, Extent, Vmdk, cowd, hosted};
use crate::check::{Flaws, MAX_BLOCKS, sharing};
use crate::disk::Wait;
use crate::pieces::Table;
use crate::store::{Fault, ImageFile};

impl Vmdk {
    /// Tells what is not as it must be.
    pub(crate) fn check(&self, flaws: &mut Flaws<'_>) {
        for extent in &self.extents {
            let Data::Sparse(sparse) = &extent.data else {
                continue;
            };
            let file = extent.file.as_deref().unwrap_or(&*self.file);
            Check {
                extent,
                sparse,
                file,
                flaws,
            }
            .run();
        }
    }
}

/// One sparse extent.
struct Check<'a, 'f> {
    extent: &'a Extent,
    sparse: &'a Sparse,
    file: &'a dyn ImageFile,
    flaws: &'a mut Flaws<'f>,
}

impl Check<'_, '_> {
    fn run(&mut self) {
        match &self.sparse.layout {
            Layout::Hosted {
                redundant,
                is_compressed,
                is_clean,
                ..
            } => {
                // A machine that stopped in the middle may have written one of the two.
                if let Some(redundant) = redundant.filter(|_| *is_clean) {
                    self.compare_tables(&redundant);
                }
                // Before a compressed grain stands where it belongs.
                if !is_compressed {
                    self.check_places(hosted::TABLE_ENTRIES);
                }
            }
            Layout::Cowd => self.check_places(cowd::TABLE_ENTRIES),
            // Not published: what its programs leave behind is not known.
            Layout::Se(_) => {}
        }
    }

    /// Both directories lead to tables of the same content.
    fn compare_tables(&mut self, redundant: &Table) {
        let table_bytes = hosted::TABLE_ENTRIES * 4;
        let covered = hosted::TABLE_ENTRIES * self.sparse.grain_bytes;
        let mut unreadable = false;
        for table in 0..self.sparse.directory.bytes / 4 {
            if !self.flaws.are_wanted() {
                return;
            }
            let own = self.table(&self.sparse.directory, table, table_bytes);
            let other = self.table(redundant, table, table_bytes);
            let (part, fault) = match (own, other) {
                (Ok(own), Ok(other)) => {
                    if own != other {
                        let differ = own.as_chunks::<4>().0.iter().zip(other.as_chunks::<4>().0);
                        let first = differ.take_while(|(own, other)| own == other).count();
                        let from = table * covered + first as u64 * self.sparse.grain_bytes;
                        self.tell((from, from + self.sparse.grain_bytes), "the two copies of the VMDK grain table differ, here for the first time in this table; one of them is damaged: restore the file from a good copy");
                    }
                    continue;
                }
                (Err(fault), _) => ("a VMDK grain table, whose second copy is used,", fault),
                (_, Err(fault)) => ("the second copy of a VMDK grain table", fault),
            };
            // One tells it all where a whole directory is lost.
            if !std::mem::replace(&mut unreadable, true) {
                self.flaws.unreadable(self.file, part, &fault);
            }
        }
    }

    /// The table that an entry of a directory leads to; empty if there is none.
    fn table(&self, directory: &Table, index: u64, bytes: u64) -> Result<Vec<u8>, Fault> {
        let sector = self
            .sparse
            .pieces
            .entry(self.file, directory, index, Wait::Allowed)?;
        let sector = u64::from(u32::from_le_bytes(sector));
        if sector == 0 {
            return Ok(Vec::new());
        }
        let mut table = vec![0; usize::try_from(bytes).unwrap_or_default()];
        self.file
            .read_exact_at(sector * SECTOR, &mut table, Wait::Allowed)?;
        Ok(table)
    }

    /// No two grains have a sector in common.
    fn check_places(&mut self, per_table: u64) {
        let mut starts = Vec::new();
        let is_known = self.each_start(per_table, |_, start| {
            starts.push(start);
            starts.len() <= MAX_BLOCKS
        });
        let shared = match is_known {
            true => sharing(starts, self.sparse.grain_bytes / SECTOR),
            false => return,
        };
        if shared.is_empty() {
            return;
        }
        let mut grains = Vec::new();
        self.each_start(per_table, |grain, start| {
            if shared.binary_search(&start).is_ok() {
                grains.push(grain);
            }
            true
        });
        for grain in grains {
            let from = grain * self.sparse.grain_bytes;
            self.tell((from, from + self.sparse.grain_bytes), "the VMDK grain table has this grain where another one is too; restore the file from a good copy");
        }
    }

    /// Goes through the grains that are here, with the first sector of each. Entries that are not valid are found by the reads
    /// of their grains. Whether it came to the end.
    fn each_start(&self, per_table: u64, mut visit: impl FnMut(u64, u32) -> bool) -> bool {
        let directory = &self.sparse.directory;
        for table in 0..directory.bytes / 4 {
            if !self.flaws.are_wanted() {
                return false;
            }
            let entries = self.table(directory, table, per_table * 4);
            let entries = entries.unwrap_or_default();
            let entries = entries
                .as_chunks()
                .0
                .iter()
                .map(|entry| u32::from_le_bytes(*entry));
            for (index, sector) in (table * per_table..).zip(entries) {
                // One stands for a grain of zeros.
                if sector > 1 && !visit(index, sector) {
                    return false;
                }
            }
        }
        true
    }

    /// Of the extent's bytes to those of the disk.
    fn tell(&mut self, (from, to): (u64, u64), what: &str) {
        let end = self.extent.end;
        let on_disk = |at: u64| self.extent.start.saturating_add(at).min(end);
        let range = (on_disk(from), on_disk(to));
        self.flaws.data(self.file, range, what);
    }
}
