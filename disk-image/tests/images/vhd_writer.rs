//! Writes VHD files from the public specification, for what `qemu-img` cannot make: differencing
//! images, footers of old, locators.

use std::fs;
use std::path::Path;

const SECTOR: usize = 512;

/// What is written.
pub(crate) struct Image {
    pub(crate) size: usize,
    pub(crate) block: usize,
    pub(crate) id: [u8; 16],
    pub(crate) parent: Option<Parent>,
    /// What stands here, by sector; `None` is below, or zeros.
    pub(crate) sectors: Vec<Option<Vec<u8>>>,
}

/// What a differencing image says of its parent.
pub(crate) struct Parent {
    pub(crate) id: [u8; 16],
    pub(crate) name: &'static str,
    /// Platform codes and their data.
    pub(crate) locators: Vec<([u8; 4], Vec<u8>)>,
}

/// A path as Windows has it in a locator.
pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Puts the checksum of a block at a place of it.
pub(crate) fn seal(block: &mut [u8], at: usize) {
    block[at..at + 4].fill(0);
    let sum = !block.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    block[at..at + 4].copy_from_slice(&sum.to_be_bytes());
}

/// A footer, sealed. Kinds: 2 fixed, 3 dynamic, 4 differencing.
pub(crate) fn footer(kind: u32, size: u64, id: [u8; 16]) -> Vec<u8> {
    let mut footer = vec![0; SECTOR];
    footer[..8].copy_from_slice(b"conectix");
    footer[8..12].copy_from_slice(&2_u32.to_be_bytes());
    footer[12..16].copy_from_slice(&0x0001_0000_u32.to_be_bytes());
    let header_at = if kind == 2 { u64::MAX } else { 512 };
    footer[16..24].copy_from_slice(&header_at.to_be_bytes());
    footer[28..32].copy_from_slice(b"win ");
    footer[40..48].copy_from_slice(&size.to_be_bytes());
    footer[48..56].copy_from_slice(&size.to_be_bytes());
    footer[60..64].copy_from_slice(&kind.to_be_bytes());
    footer[68..84].copy_from_slice(&id);
    seal(&mut footer, 64);
    footer
}

impl Image {
    pub(crate) fn new(size: usize, block: usize) -> Image {
        Image {
            size,
            block,
            id: [1; 16],
            parent: None,
            sectors: vec![None; size.div_ceil(SECTOR)],
        }
    }

    /// Puts content at an offset.
    pub(crate) fn put(&mut self, offset: usize, content: &[u8]) {
        for (index, part) in content.chunks(SECTOR).enumerate() {
            self.sectors[offset / SECTOR + index] = Some(part.to_vec());
        }
    }

    pub(crate) fn save(&self, path: &Path) {
        fs::write(path, self.bytes()).unwrap();
    }

    /// Footer, header, locators, table, blocks, footer.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let kind = if self.parent.is_some() { 4 } else { 3 };
        let footer = footer(kind, self.size as u64, self.id);
        let mut file = footer.clone();
        let mut header = vec![0; 1024];
        header[..8].copy_from_slice(b"cxsparse");
        header[8..16].fill(0xff);
        header[24..28].copy_from_slice(&0x0001_0000_u32.to_be_bytes());
        let blocks = self.size.div_ceil(self.block);
        header[28..32].copy_from_slice(&(blocks as u32).to_be_bytes());
        header[32..36].copy_from_slice(&(self.block as u32).to_be_bytes());
        let mut locators = Vec::new();
        if let Some(parent) = &self.parent {
            header[40..56].copy_from_slice(&parent.id);
            for (index, unit) in parent.name.encode_utf16().enumerate() {
                header[64 + index * 2..66 + index * 2].copy_from_slice(&unit.to_be_bytes());
            }
            for (index, (platform, data)) in parent.locators.iter().enumerate() {
                let (entry, at) = (576 + index * 24, 1536 + locators.len() as u64);
                header[entry..entry + 4].copy_from_slice(platform);
                header[entry + 4..entry + 8].copy_from_slice(&512_u32.to_be_bytes());
                header[entry + 8..entry + 12].copy_from_slice(&(data.len() as u32).to_be_bytes());
                header[entry + 16..entry + 24].copy_from_slice(&at.to_be_bytes());
                locators.extend(data);
                locators.resize(locators.len().next_multiple_of(SECTOR), 0);
            }
        }
        let table_at = 1536 + locators.len();
        header[16..24].copy_from_slice(&(table_at as u64).to_be_bytes());
        seal(&mut header, 36);
        file.extend(header);
        file.extend(locators);
        file.resize((table_at + blocks * 4).next_multiple_of(SECTOR), 0xff);
        for (index, block) in self.sectors.chunks(self.block / SECTOR).enumerate() {
            if block.iter().all(Option::is_none) {
                continue;
            }
            let sector = (file.len() / SECTOR) as u32;
            file[table_at + index * 4..][..4].copy_from_slice(&sector.to_be_bytes());
            let mut bitmap = vec![0_u8; (self.block / SECTOR / 8).next_multiple_of(SECTOR)];
            let mut data = Vec::new();
            for (n, content) in block.iter().enumerate() {
                match content {
                    Some(content) => {
                        bitmap[n / 8] |= 0x80 >> (n % 8);
                        data.extend(content);
                    }
                    // What stands there means nothing in a differencing image.
                    None => data.resize(data.len() + SECTOR, if kind == 4 { 0xee } else { 0 }),
                }
            }
            data.resize(self.block, 0);
            file.extend(bitmap);
            file.extend(data);
        }
        file.extend(footer);
        file
    }
}
