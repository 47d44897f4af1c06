//! VMDK images to begin with.

use crate::store::{Disk, Template};
use crate::vmdk_writer::{Grain, cowd, descriptor, hosted, sesparse};

const BYTES: usize = 64 << 10;
const SECTORS: usize = BYTES / 512;
const GRAIN: usize = 4096;

fn pattern(seed: u8) -> Vec<u8> {
    (0..BYTES)
        .map(|n| (n / 512) as u8 ^ (n as u8).wrapping_mul(seed))
        .collect()
}

fn put<const N: usize>(file: &mut [u8], at: usize, value: [u8; N]) {
    file[at..at + N].copy_from_slice(&value);
}

fn put_sector(file: &mut [u8], at: usize, byte: usize) {
    put(file, at, ((byte / 512) as u32).to_le_bytes());
}

/// A zlib stream of one stored block.
fn zlib(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    let (a, b) = content.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    let sum = (b << 16 | a).to_be_bytes();
    [
        &[0x78, 0x01, 1][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        content,
        &sum,
    ]
    .concat()
}

/// One file with its descriptor inside; every other grain is there.
fn monolithic(is_stream: bool) -> (Vec<u8>, Vec<u8>) {
    let mut expected = pattern(3);
    let (directory, redundant, table, copy) = (24 << 9, 25 << 9, 26 << 9, 30 << 9);
    let mut file = vec![0; 40 << 9];
    file[..4].copy_from_slice(b"KDMV");
    put(&mut file, 4, 3_u32.to_le_bytes());
    put(
        &mut file,
        8,
        if is_stream { 0x3_0001_u32 } else { 7 }.to_le_bytes(),
    );
    put(&mut file, 12, (SECTORS as u64).to_le_bytes());
    put(&mut file, 20, (GRAIN as u64 / 512).to_le_bytes());
    put(&mut file, 28, 1_u64.to_le_bytes());
    put(&mut file, 36, 20_u64.to_le_bytes());
    put(&mut file, 44, 512_u32.to_le_bytes());
    put(&mut file, 48, (redundant as u64 / 512).to_le_bytes());
    put(&mut file, 56, (directory as u64 / 512).to_le_bytes());
    put(&mut file, 64, 40_u64.to_le_bytes());
    file[73..77].copy_from_slice(b"\n \r\n");
    put(&mut file, 77, u16::from(is_stream).to_le_bytes());
    let text = descriptor(
        "monolithicSparse",
        5,
        None,
        &["RW 128 SPARSE \"disk.vmdk\""],
    );
    file[512..512 + text.len()].copy_from_slice(text.as_bytes());
    put_sector(&mut file, directory, table);
    put_sector(&mut file, redundant, copy);
    for (index, grain) in expected.chunks_mut(GRAIN).enumerate() {
        if index % 2 == 1 {
            grain.fill(0);
            continue;
        }
        let at = file.len();
        for table in [table, copy] {
            put_sector(&mut file, table + index * 4, at);
        }
        if is_stream {
            let data = zlib(grain);
            file.extend((index as u64 * GRAIN as u64 / 512).to_le_bytes());
            file.extend((data.len() as u32).to_le_bytes());
            file.extend(data);
        } else {
            file.extend(&*grain);
        }
        file.resize(file.len().next_multiple_of(512), 0);
    }
    if is_stream {
        let header = file[..512].to_vec();
        file[56..64].fill(0xff);
        file.extend(header);
        file.extend([0; 512]);
    }
    (file, expected)
}

fn template(name: &'static str, content: Vec<u8>, places: &[(usize, usize)]) -> Template {
    let length = content.len();
    let places = places
        .iter()
        .map(|(at, bytes)| (*at).min(length)..(at + bytes).min(length));
    Template {
        name,
        places: places.collect(),
        content,
        seal: |_| {},
    }
}

/// Of extents that end where no grain does, over a shorter one; what is written at a place is in the child.
fn split() -> Disk {
    let grains = |bytes: usize, seed: usize| -> Vec<Grain> {
        let grain = |n: usize| match (n + seed) % 4 {
            0 => Grain::Zero,
            1 | 2 => Grain::Here(vec![(n + seed) as u8; bytes]),
            _ => Grain::Below,
        };
        (0..6).map(grain).collect()
    };
    let sectors: Vec<Option<Vec<u8>>> = (0..20)
        .map(|n| (n % 3 == 0).then(|| vec![n as u8 + 100; 512]))
        .collect();
    let below = pattern(6)[..70 * 512].to_vec();
    let mut expected = below.clone();
    let lines = [
        "RW 45 SPARSE \"one.vmdk\"",
        "RW 3 ZERO",
        "RW 17 VMFSSPARSE \"two.vmdk\"",
        "RW 41 SESPARSE \"three.vmdk\"",
        "RW 2 FLAT \"below.bin\" 1",
    ];
    expected.resize(108 * 512, 0);
    let parts = [(0, 45, grains(4096, 1)), (65, 41, grains(4096, 2))];
    for (first, count, grains) in &parts {
        let part = &mut expected[first * 512..(first + count) * 512];
        for (grain, part) in grains.iter().zip(part.chunks_mut(4096)) {
            match grain {
                Grain::Here(content) => part.copy_from_slice(&content[..part.len()]),
                Grain::Zero | Grain::Unmapped => part.fill(0),
                Grain::Below => {}
            }
        }
    }
    expected[45 * 512..48 * 512].fill(0);
    for (n, sector) in sectors.iter().enumerate().take(17) {
        if let Some(content) = sector {
            expected[(48 + n) * 512..(49 + n) * 512].copy_from_slice(content);
        }
    }
    expected[106 * 512..108 * 512].copy_from_slice(&below[512..3 * 512]);
    let [one, three] = parts.map(|(_, _, grains)| grains);
    let top = descriptor("custom", 2, Some((1, "base.vmdk")), &lines);
    let base = descriptor("custom", 1, None, &["RW 70 FLAT \"below.bin\" 0"]);
    let header = &[
        (0, 220),
        (512, 40),
        (2048, 16),
        (2560, 64),
        (4096, 16),
        (4608, 256),
    ];
    // Directory and tables, twice.
    let tables = &[(0, 80), (512, 8), (1024, 24), (3072, 8), (3584, 24)];
    Disk {
        files: vec![
            template("disk.vmdk", top.into_bytes(), &[(0, 600)]),
            template("one.vmdk", hosted(4096, &one), tables),
            template("two.vmdk", cowd(&sectors), header),
            template("three.vmdk", sesparse(&three), header),
            template("base.vmdk", base.into_bytes(), &[(0, 600)]),
            template("below.bin", below, &[]),
        ],
        expected,
    }
}

/// In one file; a stream; flat, COWD and seSparse on each other; all kinds of extents beside each other.
pub fn disks() -> Vec<Disk> {
    let mut disks: Vec<Disk> = [false, true]
        .map(|is_stream| {
            let (content, expected) = monolithic(is_stream);
            let places = [
                (0, 80),
                (512, 400),
                (24 << 9, 8),
                (25 << 9, 8),
                (26 << 9, 64),
                (30 << 9, 64),
                (40 << 9, 40),
                (content.len() - 1024, 80),
            ];
            Disk {
                files: vec![template("disk.vmdk", content, &places)],
                expected,
            }
        })
        .into();
    let mut expected = pattern(4);
    let sectors: Vec<Option<Vec<u8>>> = (0..SECTORS)
        .map(|n| (n % 5 == 0).then(|| vec![n as u8; 512]))
        .collect();
    for (n, sector) in sectors.iter().enumerate() {
        if let Some(content) = sector {
            expected[n * 512..(n + 1) * 512].copy_from_slice(content);
        }
    }
    let grains: Vec<Grain> = (0..BYTES / 4096)
        .map(|n| match n % 4 {
            0 => Grain::Zero,
            1 => Grain::Here(vec![n as u8; 4096]),
            _ => Grain::Below,
        })
        .collect();
    for (n, grain) in grains.iter().enumerate() {
        match grain {
            Grain::Here(content) => expected[n * 4096..(n + 1) * 4096].copy_from_slice(content),
            Grain::Zero => expected[n * 4096..(n + 1) * 4096].fill(0),
            Grain::Below | Grain::Unmapped => {}
        }
    }
    let text = |kind, id, parent, line: &str| descriptor(kind, id, parent, &[line]).into_bytes();
    let top = text(
        "seSparse",
        3,
        Some((2, "middle.vmdk")),
        "RW 128 SESPARSE \"top-se.vmdk\"",
    );
    let middle = text(
        "vmfsSparse",
        2,
        Some((1, "base.vmdk")),
        "RW 128 VMFSSPARSE \"middle-delta.vmdk\"",
    );
    let base = text("vmfs", 1, None, "RW 128 VMFS \"base-flat.vmdk\"");
    let header = &[
        (0, 220),
        (512, 40),
        (2048, 16),
        (2560, 64),
        (4096, 16),
        (4608, 256),
    ];
    disks.push(Disk {
        files: vec![
            template("disk.vmdk", top, &[(0, 600)]),
            template("top-se.vmdk", sesparse(&grains), header),
            template("middle.vmdk", middle, &[(0, 600)]),
            template("middle-delta.vmdk", cowd(&sectors), header),
            template("base.vmdk", base, &[(0, 600)]),
            template("base-flat.vmdk", pattern(4), &[]),
        ],
        expected,
    });
    disks.push(split());
    disks
}
