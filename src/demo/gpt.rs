//! A GUID partition table with one partition (UEFI 2.10 §5): enough for the demo's disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use flate2::Crc;

/// Bytes in a sector of the demo's disk.
pub(super) const SECTOR: u64 = 512;

/// Entries in the table, 128 bytes each: "a minimum of 16,384 bytes ... must be reserved" (§5.3).
const ENTRIES: u32 = 128;
const ENTRY_SIZE: u32 = 128;
const TABLE_SECTORS: u64 = (ENTRIES * ENTRY_SIZE) as u64 / SECTOR;

/// `0FC63DAF-8483-4772-8E79-3D69D8477DE4`, Linux file system data, in the mixed byte order of §A.
const LINUX_DATA: [u8; 16] = [
    0xAF, 0x3D, 0xC6, 0x0F, 0x83, 0x84, 0x72, 0x47, 0x8E, 0x79, 0x3D, 0x69, 0xD8, 0x47, 0x7D, 0xE4,
];

/// The sectors that the table leaves for partitions on a disk of `sectors` sectors.
pub(super) struct Layout {
    sectors: u64,
    first_usable: u64,
    last_usable: u64,
}

/// A partition, in sectors; `last` belongs to it.
pub(super) struct Partition {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) name: &'static str,
}

/// Two random GUIDs.
pub(super) struct Guids {
    pub(super) disk: [u8; 16],
    pub(super) partition: [u8; 16],
}

impl Layout {
    /// `None` for a disk that is too small for the two tables.
    pub(super) fn of(sectors: u64) -> Option<Self> {
        let first_usable = 2 + TABLE_SECTORS;
        let last_usable = sectors.checked_sub(2 + TABLE_SECTORS)?;
        (first_usable <= last_usable).then_some(Self {
            sectors,
            first_usable,
            last_usable,
        })
    }

    pub(super) fn last_usable(&self) -> u64 {
        self.last_usable
    }

    /// Writes the protective MBR and both copies of the table.
    pub(super) fn write(
        &self,
        file: &File,
        partition: &Partition,
        guids: &Guids,
    ) -> io::Result<()> {
        let last = self.sectors - 1;
        let table = entries(partition, guids);
        let write = |bytes: &[u8], sector: u64| file.write_all_at(bytes, sector * SECTOR);
        write(&protective_mbr(self.sectors), 0)?;
        write(&self.header(1, last, 2, &table, guids), 1)?;
        write(&table, 2)?;
        write(&table, last - TABLE_SECTORS)?;
        write(
            &self.header(last, 1, last - TABLE_SECTORS, &table, guids),
            last,
        )
    }

    /// One copy of the header (§5.3.2) at sector `here`; the other copy is at `there`.
    fn header(&self, here: u64, there: u64, table_at: u64, table: &[u8], guids: &Guids) -> Vec<u8> {
        let build = |crc: u32| {
            let mut header = Vec::with_capacity(512);
            header.extend(b"EFI PART");
            header.extend(0x0001_0000_u32.to_le_bytes());
            header.extend(92_u32.to_le_bytes());
            header.extend(crc.to_le_bytes());
            header.extend([0; 4]);
            for sector in [here, there, self.first_usable, self.last_usable] {
                header.extend(sector.to_le_bytes());
            }
            header.extend(version_4(guids.disk));
            header.extend(table_at.to_le_bytes());
            header.extend(ENTRIES.to_le_bytes());
            header.extend(ENTRY_SIZE.to_le_bytes());
            header.extend(crc32(table).to_le_bytes());
            header
        };
        // The header's own checksum is taken with its field as zero.
        let mut header = build(crc32(&build(0)));
        header.resize(512, 0);
        header
    }
}

fn entries(partition: &Partition, guids: &Guids) -> Vec<u8> {
    let mut table = Vec::with_capacity(ENTRIES as usize * ENTRY_SIZE as usize);
    table.extend(LINUX_DATA);
    table.extend(version_4(guids.partition));
    table.extend(partition.first.to_le_bytes());
    table.extend(partition.last.to_le_bytes());
    table.extend([0; 8]);
    // 36 UTF-16 units.
    for unit in partition.name.encode_utf16().take(36) {
        table.extend(unit.to_le_bytes());
    }
    table.resize(ENTRIES as usize * ENTRY_SIZE as usize, 0);
    table
}

/// One partition of type EEh over the whole disk, so that old tools keep off (§5.2.3).
fn protective_mbr(sectors: u64) -> [u8; 512] {
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX).to_le_bytes();
    let mut mbr = [0; 512];
    let mut entry = vec![0x00, 0x00, 0x02, 0x00, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0];
    entry.extend(size);
    for (place, byte) in mbr.iter_mut().skip(446).zip(entry) {
        *place = byte;
    }
    for (place, byte) in mbr.iter_mut().skip(510).zip([0x55, 0xAA]) {
        *place = byte;
    }
    mbr
}

/// Marks random bytes as a GUID of version 4 (RFC 9562 §5.4), in the mixed byte order of §A.
fn version_4(mut guid: [u8; 16]) -> [u8; 16] {
    let [_, _, _, _, _, _, _, version, variant, ..] = &mut guid;
    *version = *version & 0x0F | 0x40;
    *variant = *variant & 0x3F | 0x80;
    guid
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// util-linux checks the checksums, and takes the copy at the end when the first is bad.
    #[test]
    fn partx_finds_both_copies_sound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        let layout = Layout::of((8 << 20) / SECTOR).unwrap();
        let partition = Partition {
            first: 2048,
            last: layout.last_usable(),
            name: "data",
        };
        let guids = Guids {
            disk: [0xFF; 16],
            partition: [0; 16],
        };
        layout.write(file.as_file(), &partition, &guids).unwrap();
        let wanted = "gpt 2048 16350 data 00000000-0000-4000-8000-000000000000 0fc63daf-8483-4772-8e79-3d69d8477de4";
        assert_eq!(partx(file.path()), wanted);
        file.as_file().write_all_at(&[0; 16], SECTOR).unwrap();
        assert_eq!(partx(file.path()), wanted);
        file.as_file()
            .write_all_at(&[0; 16], (8 << 20) - SECTOR)
            .unwrap();
        assert_eq!(partx(file.path()), "");
    }

    fn partx(disk: &std::path::Path) -> String {
        let output = std::process::Command::new("partx")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args([
                "--raw",
                "--noheadings",
                "--output",
                "SCHEME,START,END,NAME,UUID,TYPE",
            ])
            .arg(disk)
            .output()
            .expect("partx (package util-linux) is needed for this test");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[test]
    fn a_disk_needs_room_for_both_tables() {
        assert!(Layout::of(67).is_none());
        let smallest = Layout::of(68).unwrap();
        assert_eq!((smallest.first_usable, smallest.last_usable), (34, 34));
    }
}
