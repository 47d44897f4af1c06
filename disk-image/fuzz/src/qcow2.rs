//! A qcow2 image to begin with: over a raw one, with every kind of cluster and a snapshot.

use crate::store::{Disk, Template};

const CLUSTER: usize = 4096;
const BYTES: usize = 16 * CLUSTER;

fn put<const N: usize>(file: &mut [u8], at: usize, value: [u8; N]) {
    file[at..at + N].copy_from_slice(&value);
}

/// A deflate stream of one cluster in one stored block.
fn stored(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    [
        &[1][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        content,
    ]
    .concat()
}

fn image(extended: bool) -> (Vec<u8>, Vec<u8>) {
    let base: Vec<u8> = (0..BYTES).map(|n| (n / 512) as u8).collect();
    let mut expected = base;
    let clusters = if extended { 1 << 14 } else { CLUSTER };
    let mut file = vec![0; 12 * clusters];
    file[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    put(&mut file, 8, 400_u64.to_be_bytes());
    put(&mut file, 16, 8_u32.to_be_bytes());
    put(&mut file, 20, clusters.trailing_zeros().to_be_bytes());
    put(&mut file, 24, (BYTES as u64).to_be_bytes());
    put(&mut file, 36, 1_u32.to_be_bytes());
    put(&mut file, 40, (clusters as u64).to_be_bytes());
    put(&mut file, 60, 1_u32.to_be_bytes());
    put(&mut file, 64, (3 * clusters as u64).to_be_bytes());
    put(
        &mut file,
        72,
        if extended { 16_u64 } else { 0 }.to_be_bytes(),
    );
    put(&mut file, 96, 4_u32.to_be_bytes());
    put(&mut file, 100, 104_u32.to_be_bytes());
    put(&mut file, 104, 0xe279_2aca_u32.to_be_bytes());
    put(&mut file, 108, 3_u32.to_be_bytes());
    file[112..115].copy_from_slice(b"raw");
    file[400..408].copy_from_slice(b"base.raw");
    // L1, then its one L2 table.
    let table = 2 * clusters;
    put(&mut file, clusters, (1 << 63 | table as u64).to_be_bytes());
    let data = 4 * clusters;
    for (index, byte) in [(0, 7), (1, 8)] {
        let at = data + index * clusters;
        let (entry, end) = (if extended { 16 } else { 8 }, (index + 1) * clusters);
        put(
            &mut file,
            table + index * entry,
            (1 << 63 | at as u64).to_be_bytes(),
        );
        if extended {
            put(
                &mut file,
                table + index * entry + 8,
                0xffff_ffff_u64.to_be_bytes(),
            );
        }
        file[at..at + clusters].fill(byte);
        expected[index * clusters..end].fill(byte);
    }
    if !extended {
        put(&mut file, table + 16, 1_u64.to_be_bytes());
        expected[2 * CLUSTER..3 * CLUSTER].fill(0);
        let compressed = stored(&[9; CLUSTER]);
        let at = 7 * CLUSTER;
        file[at..at + compressed.len()].copy_from_slice(&compressed);
        put(
            &mut file,
            table + 24,
            (1 << 62 | 8 << 58 | at as u64).to_be_bytes(),
        );
        expected[3 * CLUSTER..4 * CLUSTER].fill(9);
    }
    // The snapshot has the same L1 table.
    let snapshot = 3 * clusters;
    put(&mut file, snapshot, (clusters as u64).to_be_bytes());
    put(&mut file, snapshot + 8, 1_u32.to_be_bytes());
    put(&mut file, snapshot + 12, 1_u16.to_be_bytes());
    put(&mut file, snapshot + 14, 3_u16.to_be_bytes());
    put(&mut file, snapshot + 36, 16_u32.to_be_bytes());
    put(&mut file, snapshot + 48, (BYTES as u64).to_be_bytes());
    file[snapshot + 56..snapshot + 60].copy_from_slice(b"1one");
    (file, expected)
}

/// With clusters of 4 KiB, and with subclusters.
pub fn disks() -> Vec<Disk> {
    let base: Vec<u8> = (0..BYTES).map(|n| (n / 512) as u8).collect();
    [false, true]
        .map(|extended| {
            let (content, expected) = image(extended);
            let clusters = content.len() / 12;
            let tables = [1, 2, 3].map(|index| index * clusters..index * clusters + 128);
            let compressed = 7 * clusters..7 * clusters + 64;
            let places = [0..512, compressed].into_iter().chain(tables).collect();
            let no_seal = |_: &mut [u8]| {};
            let file = Template {
                name: "disk.qcow2",
                content,
                places,
                seal: no_seal,
            };
            let base = Template {
                name: "base.raw",
                content: base.clone(),
                places: vec![],
                seal: no_seal,
            };
            Disk {
                files: vec![file, base],
                expected,
            }
        })
        .into()
}
