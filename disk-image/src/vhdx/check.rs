//! What reads of a VHDX do not look at: second copies, and blocks that share a place.

use super::bat::{self, Block};
use super::header::{self, MEBIBYTE};
use super::{BITMAP_BYTES, Vhdx, region};
use crate::check::{Flaws, Occupied};
use crate::disk::Wait;

impl Vhdx {
    /// Tells what is not as it must be.
    pub(crate) fn check(&self, flaws: &mut Flaws<'_>) {
        let copies = [
            (header::whole_copies(self.file()), "header"),
            (region::whole_copies(self.file()), "region table"),
        ];
        for (whole, part) in copies {
            match whole {
                Ok([true, true]) => {}
                Ok([first, _]) => {
                    let which = if first { "second" } else { "first" };
                    flaws.unused(
                        self.file(),
                        format!(
                            "the {which} copy of the VHDX {part} is damaged; the other is used: copy the file again"
                        ),
                    );
                }
                Err(fault) => flaws.unused(self.file(), format!("the VHDX {part}: {fault}")),
            }
        }
        self.check_places(flaws);
    }

    /// Nothing shares its place with something else.
    fn check_places(&self, flaws: &mut Flaws<'_>) {
        let Some(mut occupied) = Occupied::new(MEBIBYTE, self.file.size()) else {
            return;
        };
        // The headers have the first mebibyte.
        occupied.take(0, MEBIBYTE);
        for region in self.regions {
            occupied.take(region.at, region.bytes);
        }
        let mut twice = Vec::new();
        for index in 0..self.size.div_ceil(self.block_bytes) {
            if !flaws.are_wanted() {
                return;
            }
            let from = index * self.block_bytes;
            if let Some(at) = self.place(from)
                && !occupied.take(at, self.block_bytes)
                && twice.len() < MAX_TWICE
            {
                twice.push(at);
            }
        }
        self.check_bitmaps(&mut occupied, flaws);
        if twice.is_empty() {
            return;
        }
        // Which of two blocks is in its right place, nobody knows.
        let overlaps = |at: &u64, other: u64| at.abs_diff(other) < self.block_bytes;
        for index in 0..self.size.div_ceil(self.block_bytes) {
            let from = index * self.block_bytes;
            let Some(at) = self
                .place(from)
                .filter(|at| twice.iter().any(|twice| overlaps(twice, *at)))
            else {
                continue;
            };
            let to = from.saturating_add(self.block_bytes).min(self.size);
            flaws.data(
                self.file(),
                (from, to),
                format!(
                    "the VHDX block allocation table has this block at byte {at}, where something else is too; restore the file from a good copy"
                ),
            );
        }
    }

    /// A bitmap lies by itself as well, if any block of its chunk needs it.
    fn check_bitmaps(&self, occupied: &mut Occupied, flaws: &mut Flaws<'_>) {
        if !self.has_parent {
            return;
        }
        let chunk_bytes = self.bat.chunk_bytes();
        for chunk in 0..self.size.div_ceil(chunk_bytes) {
            let from = chunk * chunk_bytes;
            let index = self.bat.bitmap_entry(from);
            // One that is not valid is found by the reads that need it.
            if let Ok(at) = self.look_up(index, bat::bitmap, Wait::Allowed)
                && !occupied.take(at, BITMAP_BYTES)
            {
                let to = from.saturating_add(chunk_bytes).min(self.size);
                flaws.data(
                    self.file(),
                    (from, to),
                    format!(
                        "the VHDX block allocation table has a sector bitmap at byte {at}, where something else is too; restore the file from a good copy"
                    ),
                );
            }
        }
    }

    /// Where the file has the block at this byte of the disk. An entry that is not valid is found by the read of its block.
    fn place(&self, offset: u64) -> Option<u64> {
        let index = self.bat.block_entry(offset);
        let block = self.look_up(
            index,
            |entry| bat::block(entry, self.has_parent),
            Wait::Allowed,
        );
        match block {
            Ok(Block::Here(at) | Block::InParts(at)) => Some(at),
            Ok(Block::Below | Block::Zero) | Err(_) => None,
        }
    }
}

/// Blocks that are not in a place of their own and that are told of one by one, at most.
const MAX_TWICE: usize = 1024;
