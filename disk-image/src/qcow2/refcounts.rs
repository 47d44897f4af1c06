//! Refcounts: how often each cluster of the file is used.
//!
//! Source: QEMU `docs/interop/qcow2.txt`, "Host cluster management".

use super::{Qcow2, word};
use crate::disk::Wait;
use crate::error::{Damage, OpenFault};
use crate::field::{be32, be64, damaged};
use crate::pieces::SLICE_BYTES;
use crate::store::Fault;

/// Width of a refcount in version 2, as a power of two.
const V2_ORDER: u32 = 4;

/// Bits 9 to 63 of an entry of the table.
const BLOCK_OFFSET: u64 = !0x1ff;

/// The two levels of tables that hold them.
pub(super) struct Refcounts<'a> {
    image: &'a Qcow2,
    at: u64,
    bytes: u64,
    /// A refcount has 2 to the power of this bits.
    order: u32,
}

impl<'a> Refcounts<'a> {
    /// `head` holds the header's fields of version 3.
    pub(super) fn new(image: &'a Qcow2, head: &[u8]) -> Result<Refcounts<'a>, OpenFault> {
        let cluster = image.header.cluster_bytes();
        let (at, clusters) = (be64(head, 48)?, u64::from(be32(head, 56)?));
        let order = match image.header.version {
            2 => V2_ORDER,
            _ => be32(head, 96)?,
        };
        let bytes = clusters * cluster;
        let end = at.checked_add(bytes);
        if order > 6 || !at.is_multiple_of(cluster) || end.is_none_or(|end| end > image.file.size())
        {
            return Err(damaged(format!(
                "what the header says of them (a table of {clusters} clusters at {at:#x}, 2^{order} bits each) is not valid"
            )));
        }
        Ok(Refcounts {
            image,
            at,
            bytes,
            order,
        })
    }

    /// Where the table stands, and its bytes.
    pub(super) fn table(&self) -> (u64, u64) {
        (self.at, self.bytes)
    }

    /// Where the blocks are that the table leads to.
    pub(super) fn blocks(&self) -> Vec<Result<u64, Fault>> {
        let entries = 0..self.bytes / 8;
        entries
            .map(|index| self.block(index))
            .filter_map(Result::transpose)
            .collect()
    }

    /// How often a cluster is used.
    pub(super) fn of(&self, cluster: u64) -> Result<u64, Fault> {
        let counts_in_block = (self.image.header.cluster_bytes() * 8) >> self.order;
        let index = cluster / counts_in_block;
        if index >= self.bytes / 8 {
            return Ok(0);
        }
        let Some(block) = self.block(index)? else {
            return Ok(0);
        };
        let bit = (cluster % counts_in_block) << self.order;
        let byte = bit / 8;
        let (file, slice_bytes) = (self.image.file(), self.slice_bytes());
        let from = block + byte / slice_bytes * slice_bytes;
        let slice = (self.image.pieces).table(file, from, slice_bytes, Wait::Allowed)?;
        let at = usize::try_from(byte % slice_bytes).unwrap_or_default();
        let width = 1_usize << self.order.saturating_sub(3);
        let bytes = slice.get(at..at + width).unwrap_or_default();
        let value = bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        // Counts of less than a byte are put in from the lowest bit on.
        Ok(match self.order {
            0..3 => value >> (bit % 8) & ((1 << (1 << self.order)) - 1),
            _ => value,
        })
    }

    fn block(&self, index: u64) -> Result<Option<u64>, Fault> {
        let at = self.at + index * 8;
        let (file, slice_bytes) = (self.image.file(), self.slice_bytes());
        let from = at / slice_bytes * slice_bytes;
        let slice = (self.image.pieces).table(file, from, slice_bytes, Wait::Allowed)?;
        let entry = word(&slice, at % slice_bytes).unwrap_or_default();
        let block = entry & BLOCK_OFFSET;
        if entry != block || !block.is_multiple_of(self.image.header.cluster_bytes()) {
            return Err(self.image.file.fault(Damage::Index {
                what: "refcount table entry",
                at,
                value: entry,
            }));
        }
        Ok((block != 0).then_some(block))
    }

    /// As L2 tables are cut.
    fn slice_bytes(&self) -> u64 {
        SLICE_BYTES.min(self.image.header.cluster_bytes())
    }
}
