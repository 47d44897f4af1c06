//! VHDX images to begin with.

use crate::store::{Disk, Template};
use crate::vhdx_writer::{
    BAT_AT, Change, Image, LOG_AT, LOG_GUID, METADATA_AT, MIB, log_entry, seal,
};

const HEADERS: [usize; 2] = [64 << 10, 128 << 10];

fn pattern(seed: u8) -> Vec<u8> {
    (0..MIB)
        .map(|n| (n / 512) as u8 ^ (n as u8).wrapping_mul(seed))
        .collect()
}

/// Only what a change can have reached without a new length.
fn seal_all(file: &mut [u8]) {
    for at in HEADERS {
        seal(&mut file[at..at + 4096]);
    }
    seal(&mut file[192 << 10..256 << 10]);
    for at in (LOG_AT..LOG_AT + (8 << 12)).step_by(4096) {
        let length =
            u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap_or_default()) as usize;
        if file[at..].starts_with(b"loge") && (4096..=65536).contains(&length) {
            seal(&mut file[at..at + length]);
        }
    }
}

fn template(name: &'static str, content: Vec<u8>) -> Template {
    let items = METADATA_AT + (64 << 10);
    Template {
        name,
        content,
        places: vec![
            HEADERS[0]..HEADERS[0] + 80,
            HEADERS[1]..HEADERS[1] + 80,
            192 << 10..(192 << 10) + 100,
            METADATA_AT..METADATA_AT + 32 * 7,
            items..items + 700,
            BAT_AT..BAT_AT + 32,
            LOG_AT..LOG_AT + 200,
            LOG_AT + 8192..LOG_AT + 8400,
        ],
        seal: seal_all,
    }
}

/// An image with a pending log, of two entries; a differencing image on another.
pub fn disks() -> Vec<Disk> {
    let mut image = Image::new(MIB, 512, 1 << 20);
    image.put(0, &pattern(1));
    let mut pending = image.bytes();
    let table: [u8; 4096] = std::array::from_fn(|n| pending[BAT_AT + n]);
    let length = pending.len() as u64;
    let first = log_entry(5, 0, length, &[Change::Data(BAT_AT as u64, &[0x5a; 4096])]);
    let second = log_entry(
        6,
        0,
        length,
        &[
            Change::Zero(BAT_AT as u64, 8192),
            Change::Data(BAT_AT as u64, &table),
        ],
    );
    pending[LOG_AT..LOG_AT + first.len()].copy_from_slice(&first);
    pending[LOG_AT + first.len()..][..second.len()].copy_from_slice(&second);
    pending[BAT_AT..BAT_AT + 64].fill(0);
    for at in HEADERS {
        pending[at..at + 4096].copy_from_slice(&image.header(9, LOG_GUID));
    }
    // Shorter than its child.
    let below = &pattern(2)[..MIB - 5 * 4096];
    let mut base = Image::new(below.len(), 4096, 1 << 20);
    base.data_write = [2; 16];
    base.put(0, below);
    let mut child = Image::new(MIB, 4096, 1 << 20);
    child.child_of(
        [2; 16],
        &[
            ("relative_path", r".\base.vhdx"),
            ("volume_path", r"\\?\Volume{1}\x.vhdx"),
        ],
    );
    let mut expected = below.to_vec();
    expected.resize(MIB, 0);
    for at in [4096, 200 << 10, 900 << 10] {
        child.put(at, &[7; 12288]);
        expected[at..at + 12288].fill(7);
    }
    let mut child = template("disk.vhdx", child.bytes());
    // The entry of its bitmap, behind those of the 32768 blocks of the first chunk, and the bitmap, which the writer puts last.
    let (entry, bitmap) = (BAT_AT + 32768 * 8, child.content.len() - MIB);
    child.places.extend([entry..entry + 8, bitmap..bitmap + 32]);
    vec![
        Disk {
            files: vec![template("disk.vhdx", pending)],
            expected: pattern(1),
        },
        Disk {
            files: vec![child, template("base.vhdx", base.bytes())],
            expected,
        },
    ]
}
