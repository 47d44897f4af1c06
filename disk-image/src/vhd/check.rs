//! What reads of a VHD do not look at: the other copy of the footer, and blocks that share sectors.

use super::footer;
use super::{Block, Blocks, SECTOR, Vhd};
use crate::check::{Flaws, MAX_BLOCKS, sharing};
use crate::disk::Wait;

impl Vhd {
    /// Tells what is not as it must be.
    pub(crate) fn check(&self, flaws: &mut Flaws<'_>) {
        // In a fixed image the start belongs to the guest, and the footer was read to open it.
        let Some(blocks) = &self.blocks else { return };
        let mut lost = |part: &str| {
            let what = format!("{part} is damaged; the other one is used: copy the file again");
            flaws.unused(self.file(), what);
        };
        // A footer that cannot be read is no better than one that is wrong.
        if !footer::has_copy(self.file()).unwrap_or(false) {
            lost("the copy of the VHD's footer at its start");
        }
        let footer_at = footer::place(self.file()).unwrap_or(None);
        if footer_at.is_none() {
            lost("the VHD's footer at its end");
        }
        self.check_blocks(blocks, footer_at.unwrap_or(u64::MAX), flaws);
    }

    /// No two blocks have a sector in common, and none lies where the table or the footer is.
    fn check_blocks(&self, blocks: &Blocks, footer_at: u64, flaws: &mut Flaws<'_>) {
        let entries = blocks.table.bytes / 4;
        let mut starts = Vec::new();
        // An entry that is not valid, or cannot be read, is found by the read of its block.
        let place = |index: u64| {
            let offset = index * blocks.block_bytes;
            match blocks.block(self.file(), offset, 1, Wait::Allowed) {
                Ok(Block::Here(at)) => Some(at),
                Ok(Block::Below(_)) | Err(_) => None,
            }
        };
        for index in 0..entries {
            starts.extend(place(index).and_then(|at| u32::try_from(at / SECTOR).ok()));
            if starts.len() > MAX_BLOCKS || !flaws.are_wanted() {
                return;
            }
        }
        let bytes = blocks.bitmap_bytes + blocks.block_bytes;
        let shared = sharing(starts, bytes / SECTOR);
        let table = blocks.table.at..blocks.table.at + blocks.table.bytes;
        for index in 0..entries {
            let Some(at) = place(index) else { continue };
            let end = at.saturating_add(bytes);
            let start = u32::try_from(at / SECTOR);
            let is_shared = start.is_ok_and(|start| shared.binary_search(&start).is_ok());
            let other = match () {
                () if is_shared => "another block",
                () if at < table.end && table.start < end => "the table itself",
                () if (footer_at..self.file().size()).contains(&(end - 1)) => "the footer",
                () => continue,
            };
            let from = index * blocks.block_bytes;
            let to = from.saturating_add(blocks.block_bytes).min(self.size);
            let what = format!(
                "the VHD block table has this block at byte {at}, where {other} is too; restore the file from a good copy"
            );
            flaws.data(self.file(), (from, to), what);
        }
    }
}
