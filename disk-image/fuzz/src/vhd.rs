//! VHD images to begin with.

use crate::store::{Disk, Template};
use crate::vhd_writer::{Image, Parent, footer, seal, utf16};

const BYTES: usize = 64 << 10;
const BLOCK: usize = 16 << 10;

fn pattern(seed: u8) -> Vec<u8> {
    (0..BYTES)
        .map(|n| (n / 512) as u8 ^ (n as u8).wrapping_mul(seed))
        .collect()
}

fn seal_all(file: &mut [u8]) {
    let end = file.len() - 512;
    seal(&mut file[end..], 64);
    if file.starts_with(b"conectix") {
        seal(&mut file[..512], 64);
        seal(&mut file[512..1536], 36);
    }
}

fn template(name: &'static str, content: Vec<u8>) -> Template {
    let end = content.len() - 512;
    Template {
        name,
        places: vec![end..end + 100, 0..100, 512..1536, 1536..2600],
        content,
        seal: seal_all,
    }
}

/// A fixed image; a differencing one on a dynamic one.
pub fn disks() -> Vec<Disk> {
    let mut fixed = pattern(1);
    fixed.extend(footer(2, BYTES as u64, [1; 16]));
    // Shorter than its child, by no whole number of blocks.
    let below = &pattern(2)[..BYTES - 5 * 512];
    let mut base = Image::new(below.len(), BLOCK);
    base.id = [2; 16];
    base.put(0, below);
    let mut child = Image::new(BYTES, BLOCK / 2);
    child.parent = Some(Parent {
        id: [2; 16],
        name: "base.vhd",
        locators: vec![
            (*b"W2ru", utf16(r".\base.vhd")),
            (*b"MacX", b"file://./x.vhd".to_vec()),
        ],
    });
    let mut expected = below.to_vec();
    expected.resize(BYTES, 0);
    for at in [512, 20 << 10, 40 << 10] {
        child.put(at, &[7; 1536]);
        expected[at..at + 1536].fill(7);
    }
    vec![
        Disk {
            files: vec![template("disk.vhd", fixed)],
            expected: pattern(1),
        },
        Disk {
            files: vec![
                template("disk.vhd", child.bytes()),
                template("base.vhd", base.bytes()),
            ],
            expected,
        },
    ]
}
