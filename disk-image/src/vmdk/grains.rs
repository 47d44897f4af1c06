//! Where grains come from: a directory of tables, all read in slices.

use super::sparse::{Grain, Layout, SECTOR, Sparse};
use super::{cowd, hosted, sesparse};
use crate::disk::Wait;
use crate::error::Damage;
use crate::pieces::{SLICE_BYTES, Table};
use crate::store::{Fault, ImageFile};

/// An extent's tables are there once or twice.
const COPIES: u64 = 2;

/// Tables of a kind.
struct Tables<'a> {
    /// What their entries are called.
    what: &'static str,
    /// Leads to them.
    directory: &'a Table,
    /// Entries in each.
    entries: u64,
    /// 0 or, for the redundant ones, 1.
    copy: u64,
}

/// What is looked for.
pub(super) struct Wanted {
    /// The grain.
    pub(super) grain: u64,
    /// The byte in it.
    pub(super) within: u64,
    /// Bytes that are enough, and as many as are enough if they are below.
    pub(super) bytes: u64,
    pub(super) reach: u64,
}

impl Sparse {
    /// Where the wanted bytes come from, and how many do in a row.
    pub(super) fn run(
        &self,
        file: &dyn ImageFile,
        wanted: &Wanted,
        wait: Wait,
    ) -> Result<(Grain, u64), Fault> {
        match &self.layout {
            Layout::Hosted {
                redundant,
                has_zero_grains,
                is_compressed,
                ..
            } => {
                let decode = |sector: u32| match sector {
                    0 => Some(Grain::Below),
                    1 if *has_zero_grains => Some(Grain::Zero),
                    // The sector behind the header, or of the descriptor.
                    1 => None,
                    _ if *is_compressed => Some(Grain::Compressed(u64::from(sector) * SECTOR)),
                    _ => Some(Grain::At(u64::from(sector) * SECTOR)),
                };
                let tables = |directory, copy| Tables {
                    what: "VMDK grain table entry",
                    directory,
                    entries: hosted::TABLE_ENTRIES,
                    copy,
                };
                let own = tables(&self.directory, 0);
                let own = self.word_run(file, &own, wanted, decode, wait);
                match (own, redundant) {
                    // For the one grain: of the next, the tables that are looked at first may have a good word.
                    (Err(Fault::Damaged { .. }), Some(redundant)) => self
                        .word_run(file, &tables(redundant, 1), wanted, decode, wait)
                        .map(|(grain, run)| (grain, run.min(self.grain_bytes - wanted.within))),
                    (own, _) => own,
                }
            }
            Layout::Cowd => {
                let decode = |sector: u32| match sector {
                    0 => Some(Grain::Below),
                    1..cowd::HEADER_SECTORS => None,
                    _ => Some(Grain::At(u64::from(sector) * SECTOR)),
                };
                let tables = Tables {
                    what: "VMDK grain table entry",
                    directory: &self.directory,
                    entries: cowd::TABLE_ENTRIES,
                    copy: 0,
                };
                self.word_run(file, &tables, wanted, decode, wait)
            }
            Layout::Se(areas) => self.se_run(file, areas, wanted, wait),
        }
    }

    /// A run by 32-bit tables, whose words are sectors in the file, or something else of which `decode` knows; `None`: not valid.
    fn word_run(
        &self,
        file: &dyn ImageFile,
        tables: &Tables<'_>,
        wanted: &Wanted,
        decode: impl Fn(u32) -> Option<Grain>,
        wait: Wait,
    ) -> Result<(Grain, u64), Fault> {
        let directory = tables.directory;
        let in_directory = wanted.grain / tables.entries;
        let table = || {
            let sector = self.pieces.entry(file, directory, in_directory, wait)?;
            let sector = u32::from_le_bytes(sector);
            let at = u64::from(sector) * SECTOR;
            match sector {
                0 => Ok(None),
                _ if at + tables.entries * 4 > file.size() => {
                    let at = directory.at.saturating_add(in_directory * 4);
                    Err(invalid(file, directory.what, at, sector.into()))
                }
                _ => Ok(Some(at)),
            }
        };
        let grain = |entry: [u8; 4]| {
            let sector = u32::from_le_bytes(entry);
            let inside = Some(sector).filter(|_| u64::from(sector) * SECTOR < file.size());
            inside.and_then(&decode).ok_or(sector.into())
        };
        self.table_run(file, tables, wanted, table, grain, wait)
    }

    fn se_run(
        &self,
        file: &dyn ImageFile,
        areas: &sesparse::Areas,
        wanted: &Wanted,
        wait: Wait,
    ) -> Result<(Grain, u64), Fault> {
        let tables = Tables {
            what: "seSparse grain table entry",
            directory: &self.directory,
            entries: sesparse::TABLE_ENTRIES,
            copy: 0,
        };
        let directory = tables.directory;
        let in_directory = wanted.grain / tables.entries;
        let table = || {
            let entry = self.pieces.entry(file, directory, in_directory, wait)?;
            let entry = u64::from_le_bytes(entry);
            sesparse::table(entry, areas).ok_or_else(|| {
                let at = directory.at.saturating_add(in_directory * 8);
                invalid(file, directory.what, at, entry)
            })
        };
        let grain = |entry: [u8; 8]| {
            let entry = u64::from_le_bytes(entry);
            sesparse::grain(entry, areas).ok_or(entry)
        };
        self.table_run(file, &tables, wanted, table, grain, wait)
    }

    /// A run by tables with entries of `N` bytes: `table` says where the one stands that describes
    /// the wanted grain, `grain` what an entry says, or the entry if it is not valid.
    fn table_run<const N: usize>(
        &self,
        file: &dyn ImageFile,
        tables: &Tables<'_>,
        wanted: &Wanted,
        table: impl Fn() -> Result<Option<u64>, Fault>,
        grain: impl Fn([u8; N]) -> Result<Grain, u64>,
        wait: Wait,
    ) -> Result<(Grain, u64), Fault> {
        let in_slice = tables.entries.min(SLICE_BYTES / N as u64);
        let in_table = wanted.grain % tables.entries;
        let slice_at = in_table / in_slice * in_slice * N as u64;
        let name = wanted.grain / in_slice * COPIES + tables.copy;
        let find = || Ok(table()?.map(|at| at.saturating_add(slice_at)));
        let slice = self
            .pieces
            .leaf(file, name, in_slice * N as u64, wait, find)?;
        let Some(slice) = slice else {
            return Ok(self.no_table(wanted, tables.entries));
        };
        let entries = slice.as_chunks().0.iter();
        let from = usize::try_from(wanted.grain % in_slice).unwrap_or(usize::MAX);
        let grains = entries.skip(from).map(|entry| grain(*entry));
        self.row(grains, wanted).or_else(|entry| {
            let at = table()?.unwrap_or_default();
            let at = at.saturating_add(in_table * N as u64);
            Err(invalid(file, tables.what, at, entry))
        })
    }

    /// A directory entry without a table: nothing that it describes is here.
    fn no_table(&self, wanted: &Wanted, per_table: u64) -> (Grain, u64) {
        let grains = per_table - wanted.grain % per_table;
        (Grain::Below, grains * self.grain_bytes - wanted.within)
    }

    /// How far the first of these grains goes on, or the entry that is not valid for it.
    fn row(
        &self,
        mut grains: impl Iterator<Item = Result<Grain, u64>>,
        wanted: &Wanted,
    ) -> Result<(Grain, u64), u64> {
        let first = grains.next().ok_or(0_u64)??;
        let enough = match first {
            Grain::Below => wanted.reach,
            _ => wanted.bytes,
        };
        let mut end = self.grain_bytes;
        while end - wanted.within < enough {
            let goes_on = match (first, grains.next()) {
                (Grain::Below, Some(Ok(Grain::Below))) | (Grain::Zero, Some(Ok(Grain::Zero))) => {
                    true
                }
                (Grain::At(at), Some(Ok(Grain::At(next)))) => at.saturating_add(end) == next,
                // A bad entry costs its own grain, not the ones before it.
                _ => false,
            };
            if !goes_on {
                break;
            }
            end += self.grain_bytes;
        }
        Ok((first, end - wanted.within))
    }
}

fn invalid(file: &dyn ImageFile, what: &'static str, at: u64, value: u64) -> Fault {
    file.fault(Damage::Index { what, at, value })
}
