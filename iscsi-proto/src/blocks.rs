//! Logical blocks and bytes: types that cannot be mixed up, arithmetic that cannot wrap.

/// Logical block address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lba(pub u64);

/// A number of logical blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockCount(pub u64);

/// Distance in bytes from the start of the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteOffset(pub u64);

/// Bytes in one logical block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockSize {
    /// 512 bytes.
    B512,
    /// 1024 bytes.
    B1024,
    /// 2048 bytes, as optical media have.
    B2048,
    /// 4096 bytes.
    B4096,
}

impl BlockSize {
    /// The block size of that many bytes; `None` for any other than 512, 1024, 2048 and 4096.
    #[must_use]
    pub const fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            512 => Some(Self::B512),
            1024 => Some(Self::B1024),
            2048 => Some(Self::B2048),
            4096 => Some(Self::B4096),
            _ => None,
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B1024 => 1024,
            Self::B2048 => 2048,
            Self::B4096 => 4096,
        }
    }
}

/// Size and block size of one medium. Holds at least one block and at most 2^63 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    blocks: BlockCount,
    block_size: BlockSize,
}

/// Why a medium cannot be presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// A direct-access device has a last block, so an empty one cannot be described.
    #[error("the medium holds no whole block")]
    Empty,
    /// Byte offsets must fit a signed 64-bit file offset.
    #[error("the medium is larger than 2^63 bytes")]
    TooLarge,
    /// The byte size is not a multiple of the block size.
    #[error("the size is not a multiple of the block size")]
    PartialBlock,
}

impl Geometry {
    /// A medium of `blocks` blocks.
    ///
    /// # Errors
    /// [`GeometryError`] when there is no block, or more than 2^63 bytes.
    pub fn new(blocks: BlockCount, block_size: BlockSize) -> Result<Self, GeometryError> {
        if blocks.0 == 0 {
            return Err(GeometryError::Empty);
        }
        let bytes = blocks.0.checked_mul(u64::from(block_size.bytes()));
        match bytes {
            Some(bytes) if bytes <= 1 << 63 => Ok(Self { blocks, block_size }),
            _ => Err(GeometryError::TooLarge),
        }
    }

    /// A medium of `bytes` bytes.
    ///
    /// # Errors
    /// [`GeometryError`] as for [`Geometry::new`], and when a part of a block would be left over.
    pub fn from_bytes(bytes: u64, block_size: BlockSize) -> Result<Self, GeometryError> {
        let size = u64::from(block_size.bytes());
        if !bytes.is_multiple_of(size) {
            return Err(GeometryError::PartialBlock);
        }
        Self::new(BlockCount(bytes / size), block_size)
    }

    /// Number of blocks, at least one.
    #[must_use]
    pub const fn blocks(&self) -> BlockCount {
        self.blocks
    }

    /// Bytes in one block.
    #[must_use]
    pub const fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// Address of the last block.
    #[must_use]
    pub const fn last(&self) -> Lba {
        Lba(self.blocks.0.saturating_sub(1))
    }

    /// `count` blocks from `first`. An empty range may begin at any block, not behind the last one
    /// (SBC-3 4.5: an address beyond the capacity is out of range whatever the length).
    ///
    /// # Errors
    /// [`OutOfRange`] when a part of the range is not on the medium.
    pub fn range(&self, first: Lba, count: BlockCount) -> Result<BlockRange, OutOfRange> {
        let end = first.0.checked_add(count.0).ok_or(OutOfRange)?;
        if first.0 >= self.blocks.0 || end > self.blocks.0 {
            return Err(OutOfRange);
        }
        let size = u64::from(self.block_size.bytes());
        let offset = first.0.checked_mul(size).ok_or(OutOfRange)?;
        let len = count.0.checked_mul(size).ok_or(OutOfRange)?;
        Ok(BlockRange {
            first,
            count,
            block_size: self.block_size,
            offset: ByteOffset(offset),
            len,
        })
    }
}

/// A range reaches beyond the end of the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logical block address out of range")]
pub struct OutOfRange;

/// Blocks that are on the medium. Only [`Geometry::range`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    first: Lba,
    count: BlockCount,
    block_size: BlockSize,
    offset: ByteOffset,
    len: u64,
}

impl BlockRange {
    /// Address of the first block.
    #[must_use]
    pub const fn first(&self) -> Lba {
        self.first
    }

    /// Number of blocks, possibly none.
    #[must_use]
    pub const fn count(&self) -> BlockCount {
        self.count
    }

    /// Where the range begins, in bytes.
    #[must_use]
    pub const fn offset(&self) -> ByteOffset {
        self.offset
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the range holds no block.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in one block.
    #[must_use]
    pub const fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// The block that holds the byte at `offset` of the medium, for sense data about a failed read.
    #[must_use]
    pub fn block_at(&self, offset: ByteOffset) -> Lba {
        Lba(offset.0 / u64::from(self.block_size.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(blocks: u64) -> Geometry {
        Geometry::new(BlockCount(blocks), BlockSize::B512).unwrap()
    }

    #[test]
    fn only_four_block_sizes_exist() {
        let known: Vec<(u32, u32)> = (0..=8192)
            .filter_map(|bytes| Some((bytes, BlockSize::from_bytes(bytes)?.bytes())))
            .collect();
        assert_eq!(
            known,
            [(512, 512), (1024, 1024), (2048, 2048), (4096, 4096)]
        );
    }

    #[test]
    fn a_medium_has_blocks_and_fits_a_file_offset() {
        assert_eq!(
            Geometry::new(BlockCount(0), BlockSize::B512),
            Err(GeometryError::Empty)
        );
        assert!(Geometry::new(BlockCount(1 << 54), BlockSize::B512).is_ok());
        for blocks in [(1 << 54) + 1, 1 << 55, u64::MAX] {
            let refused = Geometry::new(BlockCount(blocks), BlockSize::B512);
            assert_eq!(refused, Err(GeometryError::TooLarge));
        }
    }

    #[test]
    fn bytes_must_be_whole_blocks() {
        for extra in 1..512 {
            let refused = Geometry::from_bytes(1024 + extra, BlockSize::B512);
            assert_eq!(refused, Err(GeometryError::PartialBlock));
        }
        let sixty_four_tib = Geometry::from_bytes(64 << 40, BlockSize::B4096).unwrap();
        assert_eq!(sixty_four_tib.blocks(), BlockCount(1 << 34));
        assert_eq!(sixty_four_tib.last(), Lba((1 << 34) - 1));
        assert_eq!(
            Geometry::from_bytes(0, BlockSize::B4096),
            Err(GeometryError::Empty)
        );
    }

    #[test]
    fn every_range_of_a_small_medium() {
        let medium = medium(9);
        for first in 0..20 {
            for count in 0..20 {
                let range = medium.range(Lba(first), BlockCount(count));
                let fits = first < 9 && first + count <= 9;
                assert_eq!(range.is_ok(), fits, "{first}+{count}");
                if let Ok(range) = range {
                    assert_eq!(range.offset(), ByteOffset(first * 512));
                    assert_eq!(range.len(), count * 512);
                    assert_eq!(range.is_empty(), count == 0);
                }
            }
        }
    }

    #[test]
    fn ranges_at_the_end_of_the_number_space_do_not_wrap() {
        let edges = [
            0,
            1,
            8,
            9,
            1 << 32,
            1 << 54,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ];
        for blocks in [1, 9, 1 << 32, 1 << 54] {
            let medium = medium(blocks);
            for first in edges {
                for count in edges {
                    let fits = u128::from(first) + u128::from(count) <= u128::from(blocks);
                    let range = medium.range(Lba(first), BlockCount(count));
                    assert_eq!(
                        range.is_ok(),
                        fits && first < blocks,
                        "{first}+{count}/{blocks}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_byte_belongs_to_one_block() {
        let range = Geometry::new(BlockCount(8), BlockSize::B4096)
            .unwrap()
            .range(Lba(2), BlockCount(3))
            .unwrap();
        assert_eq!(range.block_at(ByteOffset(8192)), Lba(2));
        assert_eq!(range.block_at(ByteOffset(12287)), Lba(2));
        assert_eq!(range.block_at(ByteOffset(12288)), Lba(3));
        assert_eq!((range.first(), range.count()), (Lba(2), BlockCount(3)));
        assert_eq!(range.block_size(), BlockSize::B4096);
    }
}
