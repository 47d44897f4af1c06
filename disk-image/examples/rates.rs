//! How fast images are read, beside the first of them: `rates FOLDER IMAGE...`, each image by its
//! name in the folder. Prints opening time, and sequential reads of 1 MiB and random ones of
//! 4 KiB, out of storage ("cold": the page cache and ours are empty) and out of memory ("hot").

#![expect(
    clippy::disallowed_methods,
    reason = "what is dropped from the page cache is opened by its name"
)]

use std::error::Error;
use std::fs::{File, read_dir};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use disk_image::{Cache, Disk, DiskFile, Folder, ReadError, Wait};
use rustix::fs::{Advice, fadvise};

/// Bytes of index tables and decoded data in memory, as the server has it.
const CACHE_BYTES: usize = 128 << 20;

/// Random reads of one measurement.
const RANDOM_READS: u64 = 20_000;
const COLD_RANDOM_READS: u64 = 2_000;

/// Rates of one image: bytes or reads in a second.
struct Rates {
    open: Duration,
    cold_sequential: f64,
    cold_random: f64,
    hot_sequential: f64,
    hot_random: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: rates FOLDER IMAGE...")?;
    println!("image: open; cold MB/s, 4 KiB/s; hot MB/s, 4 KiB/s (beside the first)");
    let mut first = None;
    for name in arguments {
        let rates = measure(Path::new(&folder), &name)?;
        let base = first.get_or_insert((
            rates.cold_sequential,
            rates.cold_random,
            rates.hot_sequential,
            rates.hot_random,
        ));
        println!(
            "{name}: {:?}; {:.0} ({:.2}), {:.0} ({:.2}); {:.0} ({:.2}), {:.0} ({:.2})",
            rates.open,
            rates.cold_sequential / 1e6,
            rates.cold_sequential / base.0,
            rates.cold_random,
            rates.cold_random / base.1,
            rates.hot_sequential / 1e6,
            rates.hot_sequential / base.2,
            rates.hot_random,
            rates.hot_random / base.3,
        );
    }
    Ok(())
}

fn measure(folder: &Path, name: &str) -> Result<Rates, Box<dyn Error>> {
    forget(folder)?;
    let started = Instant::now();
    let disk = open(folder, name)?;
    let open_time = started.elapsed();
    let cold_sequential = sequential(&disk)?;
    let hot_sequential = sequential(&disk)?;
    let hot_random = random(&disk, RANDOM_READS)?;
    forget(folder)?;
    let cold_random = random(&open(folder, name)?, COLD_RANDOM_READS)?;
    Ok(Rates {
        open: open_time,
        cold_sequential,
        cold_random,
        hot_sequential,
        hot_random,
    })
}

fn open(folder: &Path, name: &str) -> Result<Disk, Box<dyn Error>> {
    let file = DiskFile {
        name: name.to_owned(),
        path: name.into(),
        format: None,
        sector_size: None,
        snapshot: None,
        references: Default::default(),
    };
    let cache = Arc::new(Cache::new(CACHE_BYTES));
    Ok(Disk::open(&Folder::open(folder)?, &file, &cache)?)
}

/// Drops what the page cache has of the folder's files.
fn forget(folder: &Path) -> Result<(), Box<dyn Error>> {
    for entry in read_dir(folder)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// As the data plane reads: first without waiting.
fn read(disk: &Disk, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
    match disk.read_at(offset, buf, Wait::Never) {
        Err(ReadError::WouldBlock) => disk.read_at(offset, buf, Wait::Allowed),
        outcome => outcome,
    }
}

fn sequential(disk: &Disk) -> Result<f64, ReadError> {
    let size = disk.info().size;
    let mut buf = vec![0; 1 << 20];
    let started = Instant::now();
    for offset in (0..size).step_by(buf.len()) {
        let length = usize::try_from(size - offset).map_or(buf.len(), |rest| rest.min(buf.len()));
        read(disk, offset, buf.get_mut(..length).unwrap_or_default())?;
    }
    Ok(size as f64 / started.elapsed().as_secs_f64())
}

fn random(disk: &Disk, reads: u64) -> Result<f64, ReadError> {
    let blocks = disk.info().size / 4096;
    let mut buf = [0; 4096];
    let mut number = 1_u64;
    let started = Instant::now();
    for _ in 0..reads {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        read(disk, (number >> 20) % blocks * 4096, &mut buf)?;
    }
    Ok(reads as f64 / started.elapsed().as_secs_f64())
}
