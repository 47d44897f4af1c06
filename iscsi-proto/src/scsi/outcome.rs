//! What the device server says to a command. A CHECK CONDITION is a value, not a Rust error.

use bytes::Bytes;

use super::condition::Condition;
use super::sense::Sense;
use crate::blocks::{BlockRange, ByteOffset, Lba};

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Status GOOD (00h), no data: all that the initiator expected is residual.
    Good,
    /// Status GOOD, no data. Commands that other nexuses have in this logical unit were ended (see
    /// [`Nexus::aborts`](super::Nexus::aborts)); their sessions are to be told.
    OthersAborted,
    /// Status GOOD with parameter data, already cut to the allocation length; possibly empty.
    Data(Bytes),
    /// Read these blocks and transfer them, then GOOD. A block that cannot be read ends the command
    /// with [`Sense::unrecovered_read`]. Never empty, at most
    /// [`MAX_TRANSFER_BYTES`](super::MAX_TRANSFER_BYTES).
    Read(BlockRange),
    /// Read these blocks, transfer nothing, then GOOD; faults as for `Read`. Same bounds.
    Check(BlockRange),
    /// Read these blocks and hold them against the data that the initiator sent; transfer nothing.
    Compare(Comparison),
    /// Have this many bytes of data-out sent, then execute the same command again with them. At
    /// most [`MAX_DATA_OUT_BYTES`](super::MAX_DATA_OUT_BYTES).
    NeedData(u32),
    /// Status CHECK CONDITION (02h) with sense data in the form
    /// [`Target::sense_form`](super::Target::sense_form).
    CheckCondition(Sense),
    /// Status RESERVATION CONFLICT (18h).
    ReservationConflict,
}

/// What a command handler gives: `Err` is a CHECK CONDITION.
pub(super) type Answer = Result<Outcome, Sense>;

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        answer.unwrap_or_else(Self::CheckCondition)
    }
}

impl From<Condition> for Sense {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}

/// A VERIFY with data: blocks of the medium beside bytes of the initiator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    range: BlockRange,
    expected: Bytes,
}

impl Comparison {
    /// `expected` is as long as the range (BYTCHK 01b), or one block that every block of the range
    /// must equal (BYTCHK 11b). Never empty.
    pub(super) const fn new(range: BlockRange, expected: Bytes) -> Self {
        Self { range, expected }
    }

    /// The blocks to read. Never empty.
    #[must_use]
    pub const fn range(&self) -> BlockRange {
        self.range
    }

    /// Bytes of the initiator's data that are kept for it, at most
    /// [`MAX_DATA_OUT_BYTES`](super::MAX_DATA_OUT_BYTES).
    #[must_use]
    pub fn sent_bytes(&self) -> u32 {
        u32::try_from(self.expected.len()).unwrap_or(u32::MAX)
    }

    /// Holds a piece of the range, read from `offset` of the medium, against the initiator's data.
    ///
    /// # Errors
    /// MISCOMPARE with the offset of the first byte that differs (SBC-3 5.29, VERIFY (10)).
    pub fn compare(&self, offset: ByteOffset, piece: &[u8]) -> Result<(), Sense> {
        let length = self.expected.len().max(1);
        let skipped = offset.0.saturating_sub(self.range.offset().0);
        let mut at = usize::try_from(skipped).unwrap_or(usize::MAX) % length;
        let mut rest = piece;
        while let Some(expected @ [_, ..]) = self.expected.get(at..).filter(|_| !rest.is_empty()) {
            let (found, behind) = rest.split_at(expected.len().min(rest.len()));
            if !expected.starts_with(found) {
                let same = found
                    .iter()
                    .zip(expected)
                    .take_while(|(found, sent)| found == sent);
                return Err(Sense::miscompare((at + same.count()) as u64));
            }
            (rest, at) = (behind, 0);
        }
        Ok(())
    }

    /// The block that holds the byte at `offset` of the medium.
    #[must_use]
    pub fn block_at(&self, offset: ByteOffset) -> Lba {
        self.range.block_at(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{BlockCount, BlockSize, Geometry};

    fn comparison(blocks: u64, expected: Vec<u8>) -> Comparison {
        let medium = Geometry::new(BlockCount(100), BlockSize::B512).unwrap();
        Comparison::new(
            medium.range(Lba(10), BlockCount(blocks)).unwrap(),
            expected.into(),
        )
    }

    #[test]
    fn pieces_are_held_against_their_part() {
        let mut data = vec![0xA5; 1024];
        data[600] = 7;
        let comparison = comparison(2, data.clone());
        assert_eq!(comparison.compare(ByteOffset(5120), &data[..512]), Ok(()));
        assert_eq!(comparison.compare(ByteOffset(5632), &data[512..]), Ok(()));
        assert_eq!(
            comparison.compare(ByteOffset(5632), &[0xA5; 512]),
            Err(Sense::miscompare(600))
        );
        assert_eq!(comparison.block_at(ByteOffset(5632)), Lba(11));
    }

    #[test]
    fn one_block_is_held_against_every_block() {
        let comparison = comparison(3, vec![9; 512]);
        assert_eq!(comparison.compare(ByteOffset(5120), &[9; 1536]), Ok(()));
        let mut medium = vec![9; 1536];
        medium[1030] = 8;
        assert_eq!(
            comparison.compare(ByteOffset(5120), &medium),
            Err(Sense::miscompare(6))
        );
    }
}
