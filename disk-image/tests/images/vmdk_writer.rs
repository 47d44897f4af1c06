//! Writes the VMDK files that `qemu-img` reads and does not make: ESX's sparse extents.

use std::fmt::Write as _;

const SECTOR: usize = 512;

fn put32(file: &mut [u8], at: usize, value: usize) {
    file[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
}

fn put64(file: &mut [u8], at: usize, value: u64) {
    file[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// A descriptor; each extent is a line such as `RW 63 FLAT "a-flat.vmdk" 0`.
pub(crate) fn descriptor(
    kind: &str,
    id: u32,
    parent: Option<(u32, &str)>,
    extents: &[&str],
) -> String {
    let mut text = format!("# Disk DescriptorFile\nversion=1\nCID={id:08x}\n");
    writeln!(
        text,
        "parentCID={:08x}",
        parent.map_or(u32::MAX, |(id, _)| id)
    )
    .unwrap();
    writeln!(text, "createType=\"{kind}\"").unwrap();
    if let Some((_, name)) = parent {
        writeln!(text, "parentFileNameHint=\"{name}\"").unwrap();
    }
    writeln!(text, "\n# Extent description").unwrap();
    for extent in extents {
        writeln!(text, "{extent}").unwrap();
    }
    text + "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\n"
}

/// A COWD extent with grains of one sector; `None` is below.
pub(crate) fn cowd(sectors: &[Option<Vec<u8>>]) -> Vec<u8> {
    const IN_TABLE: usize = 4096;
    let tables = sectors.len().div_ceil(IN_TABLE);
    let mut file = vec![0; 4 * SECTOR + (tables * 4).next_multiple_of(SECTOR)];
    file[..4].copy_from_slice(b"COWD");
    for (at, value) in [
        (4, 1),
        (8, 3),
        (12, sectors.len()),
        (16, 1),
        (20, 4),
        (24, tables),
    ] {
        put32(&mut file, at, value);
    }
    for (index, part) in sectors.chunks(IN_TABLE).enumerate() {
        if part.iter().all(Option::is_none) {
            continue;
        }
        let table = file.len();
        put32(&mut file, 4 * SECTOR + index * 4, table / SECTOR);
        file.resize(table + IN_TABLE * 4, 0);
        for (n, sector) in part.iter().enumerate() {
            if let Some(content) = sector {
                let at = file.len() / SECTOR;
                put32(&mut file, table + n * 4, at);
                file.extend(content);
            }
        }
    }
    file
}

/// What a grain is.
#[derive(Clone)]
pub(crate) enum Grain {
    Below,
    Unmapped,
    Zero,
    Here(Vec<u8>),
}

/// An extent of hosted products, without a descriptor; `grain` is in bytes. Its tables are there twice.
pub(crate) fn hosted(grain: usize, grains: &[Grain]) -> Vec<u8> {
    const IN_TABLE: usize = 512;
    let tables = grains.len().div_ceil(IN_TABLE);
    // In sectors.
    let directory = (tables * 4).div_ceil(SECTOR);
    let (first, second) = (1, 1 + directory + tables * 4);
    let overhead = (second + directory + tables * 4).next_multiple_of(grain / SECTOR);
    let mut file = vec![0; overhead * SECTOR];
    file[..4].copy_from_slice(b"KDMV");
    for (at, value) in [(4, 1), (8, 7), (44, IN_TABLE)] {
        put32(&mut file, at, value);
    }
    for (at, value) in [
        (12, grains.len() * grain / SECTOR),
        (20, grain / SECTOR),
        (48, first),
        (56, second),
        (64, overhead),
    ] {
        put64(&mut file, at, value as u64);
    }
    file[73..77].copy_from_slice(b"\n \r\n");
    for (index, part) in grains.chunks(IN_TABLE).enumerate() {
        let tables = [first, second].map(|at| (at, at + directory + index * 4));
        for (directory, table) in tables {
            put32(&mut file, directory * SECTOR + index * 4, table);
        }
        for (n, grain) in part.iter().enumerate() {
            let entry = match grain {
                Grain::Below => 0,
                Grain::Zero | Grain::Unmapped => 1,
                Grain::Here(content) => {
                    file.extend(content);
                    (file.len() - content.len()) / SECTOR
                }
            };
            for (_, table) in tables {
                put32(&mut file, table * SECTOR + n * 4, entry);
            }
        }
    }
    file
}

/// A seSparse extent of grains of 4096 bytes.
pub(crate) fn sesparse(grains: &[Grain]) -> Vec<u8> {
    const IN_TABLE: usize = 4096;
    const TABLE_BYTES: usize = 64 * SECTOR;
    let tables = grains.len().div_ceil(IN_TABLE);
    // In sectors: volatile header, directory, tables, grains.
    let (volatile, directory) = (1, 8);
    let tables_at = directory + (tables * 8).div_ceil(SECTOR);
    let grains_at = tables_at + tables * 64;
    let mut file = vec![0; grains_at * SECTOR];
    for (at, value) in [
        (0, 0xcafe_babe),
        (8, 0x0000_0002_0000_0001),
        (16, grains.len() as u64 * 8),
        (24, 8),
        (32, 64),
        (80, volatile),
        (88, 1),
        (96, 2),
        (104, 1),
        (112, 3),
        (120, 1),
        (128, directory as u64),
        (136, (tables_at - directory) as u64),
        (144, tables_at as u64),
        (152, tables as u64 * 64),
        (160, grains_at as u64),
        (176, grains_at as u64),
        (192, grains_at as u64),
        (200, grains.len() as u64 * 8),
    ] {
        put64(&mut file, at, value);
    }
    put64(&mut file, SECTOR, 0xcafe_cafe);
    let mut stored = 0_u64;
    for (index, part) in grains.chunks(IN_TABLE).enumerate() {
        if part.iter().all(|grain| matches!(grain, Grain::Below)) {
            continue;
        }
        // Tables in reverse, so that numbers and places differ.
        let number = tables - 1 - index;
        put64(
            &mut file,
            directory * SECTOR + index * 8,
            0x1000_0000_0000_0000 | number as u64,
        );
        for (n, grain) in part.iter().enumerate() {
            let entry = match grain {
                Grain::Below => 0,
                Grain::Unmapped => 0x1000_0000_0000_0000,
                Grain::Zero => 0x2000_0000_0000_0000,
                Grain::Here(content) => {
                    file.extend(content);
                    stored += 1;
                    let number = stored - 1;
                    0x3000_0000_0000_0000 | (number & 0xfff) << 48 | number >> 12
                }
            };
            put64(
                &mut file,
                tables_at * SECTOR + number * TABLE_BYTES + n * 8,
                entry,
            );
        }
    }
    file
}
