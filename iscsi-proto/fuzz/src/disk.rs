//! The disks: every eight bytes of each are different within a period, so wrong data cannot look right.

use std::sync::OnceLock;

use bytes::Bytes;

/// Bytes and block size of each disk, by LUN.
pub const SIZES: [(u64, u32); 3] = [(8 << 20, 512), (16 << 20, 4096), (64 << 40, 512)];

/// Bytes. The contents repeat after this; it is no power of two, so that no mistaken bit leads to the same.
const PERIOD: u64 = 15_001 * 512;
/// Bytes. Longest read.
const LONGEST: u64 = 1 << 20;

/// What the disk holds there. Not copied: all disks lie in memory once.
pub fn contents(lun: u8, offset: u64, len: usize) -> Bytes {
    static DISKS: [OnceLock<Bytes>; 3] = [const { OnceLock::new() }; 3];
    let disk = DISKS[usize::from(lun)].get_or_init(|| {
        let words = (0..(PERIOD + LONGEST) / 8).map(|word| word % (PERIOD / 8));
        let mixed = words.map(|word| (word + 1 + (u64::from(lun) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed.flat_map(u64::to_be_bytes).collect()
    });
    let start = (offset % PERIOD) as usize;
    disk.slice(start..start + len)
}
