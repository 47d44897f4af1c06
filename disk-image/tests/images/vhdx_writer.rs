//! Writes VHDX files from the public specification (MS-VHDX), for what `qemu-img` cannot make:
//! differencing images, 4096-byte sectors, logs.

use std::fs;
use std::path::Path;

pub(crate) const MIB: usize = 1 << 20;
/// Where the writer puts things; every region has 1 MiB.
pub(crate) const LOG_AT: usize = MIB;
pub(crate) const METADATA_AT: usize = 2 * MIB;
pub(crate) const BAT_AT: usize = 3 * MIB;
const BLOCKS_AT: usize = 4 * MIB;

pub(crate) const LOG_GUID: [u8; 16] = [0x4c; 16];

/// CRC-32C, a byte at a time.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

/// Puts the checksum of a block at its byte 4.
pub(crate) fn seal(block: &mut [u8]) {
    block[4..8].fill(0);
    let sum = crc32c(block);
    block[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// The bytes of a GUID from its text.
pub(crate) fn guid(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |n: usize| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap();
    [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(byte)
}

/// What is written.
pub(crate) struct Image {
    pub(crate) size: u64,
    pub(crate) sector: u32,
    pub(crate) block: u32,
    pub(crate) data_write: [u8; 16],
    /// Keys and values of the parent locator.
    pub(crate) parent: Vec<(String, String)>,
    /// What stands here, by sector; `None` is below. A disk without a parent has zeros there.
    pub(crate) sectors: Vec<Option<Vec<u8>>>,
}

impl Image {
    pub(crate) fn new(size: usize, sector: u32, block: u32) -> Image {
        Image {
            size: size as u64,
            sector,
            block,
            data_write: [1; 16],
            parent: Vec::new(),
            sectors: vec![None; size / sector as usize],
        }
    }

    /// Puts content at an offset.
    pub(crate) fn put(&mut self, offset: usize, content: &[u8]) {
        let sector = self.sector as usize;
        for (index, part) in content.chunks(sector).enumerate() {
            self.sectors[offset / sector + index] = Some(part.to_vec());
        }
    }

    /// Makes it a child of an image with this data write GUID.
    pub(crate) fn child_of(&mut self, data_write: [u8; 16], names: &[(&str, &str)]) {
        let text = |part: &[u8]| {
            part.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let mut order = data_write;
        order[..4].reverse();
        order[4..6].reverse();
        order[6..8].reverse();
        let linkage = format!(
            "{{{}-{}-{}-{}-{}}}",
            text(&order[..4]),
            text(&order[4..6]),
            text(&order[6..8]),
            text(&order[8..10]),
            text(&order[10..])
        );
        self.parent = vec![("parent_linkage".to_owned(), linkage)];
        for (key, value) in names {
            self.parent.push(((*key).to_owned(), (*value).to_owned()));
        }
    }

    pub(crate) fn save(&self, path: &Path) {
        fs::write(path, self.bytes()).unwrap();
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0; BLOCKS_AT];
        file[..8].copy_from_slice(b"vhdxfile");
        for (at, sequence) in [(64 << 10, 7_u64), (128 << 10, 8)] {
            file[at..at + 4096].copy_from_slice(&self.header(sequence, [0; 16]));
        }
        let regions = regions();
        file[192 << 10..][..64 << 10].copy_from_slice(&regions);
        file[256 << 10..][..64 << 10].copy_from_slice(&regions);
        self.write_metadata(&mut file);
        self.write_blocks(&mut file);
        file
    }

    /// A header, sealed.
    pub(crate) fn header(&self, sequence: u64, log: [u8; 16]) -> Vec<u8> {
        let mut header = vec![0; 4096];
        header[..4].copy_from_slice(b"head");
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        header[16..32].copy_from_slice(&[9; 16]);
        header[32..48].copy_from_slice(&self.data_write);
        header[48..64].copy_from_slice(&log);
        header[66] = 1;
        header[68..72].copy_from_slice(&(MIB as u32).to_le_bytes());
        header[72..80].copy_from_slice(&(LOG_AT as u64).to_le_bytes());
        seal(&mut header);
        header
    }

    fn write_metadata(&self, file: &mut [u8]) {
        let mut items: Vec<(&str, Vec<u8>)> = Vec::new();
        let flags = if self.parent.is_empty() { 0 } else { 2_u32 };
        items.push((
            "caa16737-fa36-4d43-b3b6-33f0aa44e76b",
            [self.block.to_le_bytes(), flags.to_le_bytes()].concat(),
        ));
        items.push((
            "2fa54224-cd1b-4876-b211-5dbed83bf4b8",
            self.size.to_le_bytes().to_vec(),
        ));
        items.push(("beca12ab-b2e6-4523-93ef-c309e000c746", vec![5; 16]));
        items.push((
            "8141bf1d-a96f-4709-ba47-f233a8faab5f",
            self.sector.to_le_bytes().to_vec(),
        ));
        items.push((
            "cda348c7-445d-4471-9cc9-e9885251c556",
            4096_u32.to_le_bytes().to_vec(),
        ));
        if !self.parent.is_empty() {
            items.push((
                "a8d35f2d-b30b-454d-abf7-d3d84834ab0c",
                locator(&self.parent),
            ));
        }
        let table = &mut file[METADATA_AT..METADATA_AT + MIB];
        table[..8].copy_from_slice(b"metadata");
        table[10..12].copy_from_slice(&(items.len() as u16).to_le_bytes());
        let mut at = 64 << 10;
        for (index, (name, item)) in items.iter().enumerate() {
            let entry = 32 + index * 32;
            table[entry..entry + 16].copy_from_slice(&guid(name));
            table[entry + 16..entry + 20].copy_from_slice(&(at as u32).to_le_bytes());
            table[entry + 20..entry + 24].copy_from_slice(&(item.len() as u32).to_le_bytes());
            table[entry + 24..entry + 28].copy_from_slice(&4_u32.to_le_bytes());
            table[at..at + item.len()].copy_from_slice(item);
            at += item.len().next_multiple_of(64);
        }
    }

    fn write_blocks(&self, file: &mut Vec<u8>) {
        let sector = self.sector as usize;
        let in_block = self.block as usize / sector;
        let ratio = (1 << 23) * sector / self.block as usize;
        for (chunk, sectors) in self.sectors.chunks(1 << 23).enumerate() {
            let mut bitmap = vec![0; MIB];
            let mut has_bitmap = false;
            for (index, block) in sectors.chunks(in_block).enumerate() {
                let here = block.iter().filter(|sector| sector.is_some()).count();
                let state = match here {
                    0 => continue,
                    _ if self.parent.is_empty() || here == in_block => 6,
                    _ => 7,
                };
                let entry = BAT_AT + (chunk * (ratio + 1) + index) * 8;
                let at = file.len() as u64;
                file[entry..entry + 8].copy_from_slice(&(at | state).to_le_bytes());
                for (n, content) in block.iter().enumerate() {
                    let bit = index * in_block + n;
                    if let Some(content) = content {
                        bitmap[bit / 8] |= 1 << (bit % 8);
                        file.extend(content);
                    } else {
                        // What stands there means nothing in a differencing image.
                        let filler = if self.parent.is_empty() { 0 } else { 0xee };
                        file.resize(file.len() + sector, filler);
                    }
                }
                has_bitmap |= state == 7;
                file.resize(file.len().next_multiple_of(MIB), 0);
            }
            if has_bitmap {
                let entry = BAT_AT + (chunk * (ratio + 1) + ratio) * 8;
                let at = file.len() as u64;
                file[entry..entry + 8].copy_from_slice(&(at | 6).to_le_bytes());
                file.extend(bitmap);
            }
        }
    }
}

fn regions() -> Vec<u8> {
    let mut table = vec![0; 64 << 10];
    table[..4].copy_from_slice(b"regi");
    table[8] = 2;
    for (entry, name, at) in [
        (16, "2dc27766-f623-4200-9d64-115e9bfd4a08", BAT_AT),
        (48, "8b7ca206-4790-4b9a-b8fe-575f050f886e", METADATA_AT),
    ] {
        table[entry..entry + 16].copy_from_slice(&guid(name));
        table[entry + 16..entry + 24].copy_from_slice(&(at as u64).to_le_bytes());
        table[entry + 24..entry + 28].copy_from_slice(&(MIB as u32).to_le_bytes());
        table[entry + 28] = 1;
    }
    seal(&mut table);
    table
}

fn locator(pairs: &[(String, String)]) -> Vec<u8> {
    let mut item = vec![0; 20 + pairs.len() * 12];
    item[..16].copy_from_slice(&guid("b04aefb7-d19e-4a81-b789-25b8e9445913"));
    item[18..20].copy_from_slice(&(pairs.len() as u16).to_le_bytes());
    for (index, (key, value)) in pairs.iter().enumerate() {
        for (field, text) in [key, value].into_iter().enumerate() {
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let (entry, at) = (20 + index * 12, item.len() as u32);
            item[entry + field * 4..][..4].copy_from_slice(&at.to_le_bytes());
            item[entry + 8 + field * 2..][..2].copy_from_slice(&(units.len() as u16).to_le_bytes());
            item.extend(units);
        }
    }
    item
}

/// A change in a log entry: a sector's new content, or so many zeros.
pub(crate) enum Change<'a> {
    Data(u64, &'a [u8; 4096]),
    Zero(u64, u64),
}

/// A log entry, sealed. `tail` is the place in the log of the oldest entry that is needed.
pub(crate) fn log_entry(
    sequence: u64,
    tail: u32,
    file_bytes: u64,
    changes: &[Change<'_>],
) -> Vec<u8> {
    let mut entry = vec![0; (64 + changes.len() * 32).next_multiple_of(4096)];
    entry[..4].copy_from_slice(b"loge");
    entry[12..16].copy_from_slice(&tail.to_le_bytes());
    entry[16..24].copy_from_slice(&sequence.to_le_bytes());
    entry[24..28].copy_from_slice(&(changes.len() as u32).to_le_bytes());
    entry[32..48].copy_from_slice(&LOG_GUID);
    entry[48..56].copy_from_slice(&file_bytes.to_le_bytes());
    entry[56..64].copy_from_slice(&file_bytes.to_le_bytes());
    for (index, change) in changes.iter().enumerate() {
        let at = 64 + index * 32;
        entry[at + 24..at + 32].copy_from_slice(&sequence.to_le_bytes());
        match change {
            Change::Data(file_at, content) => {
                entry[at..at + 4].copy_from_slice(b"desc");
                entry[at + 4..at + 8].copy_from_slice(&content[4092..]);
                entry[at + 8..at + 16].copy_from_slice(&content[..8]);
                entry[at + 16..at + 24].copy_from_slice(&file_at.to_le_bytes());
                let mut sector = **content;
                sector[..4].copy_from_slice(b"data");
                sector[4..8].copy_from_slice(&((sequence >> 32) as u32).to_le_bytes());
                sector[4092..].copy_from_slice(&(sequence as u32).to_le_bytes());
                entry.extend(sector);
            }
            Change::Zero(file_at, length) => {
                entry[at..at + 4].copy_from_slice(b"zero");
                entry[at + 8..at + 16].copy_from_slice(&length.to_le_bytes());
                entry[at + 16..at + 24].copy_from_slice(&file_at.to_le_bytes());
            }
        }
    }
    let length = entry.len() as u32;
    entry[8..12].copy_from_slice(&length.to_le_bytes());
    seal(&mut entry);
    entry
}
