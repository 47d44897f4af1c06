//! How fast the newest recovery point of a VM is read: `point_rates ITEMLIFT_TOML VM`. Prints how long it takes to find and to open
//! it, the time to the first byte, the rate of reads of 1 MiB from end to end, and the median and the 99th percentile of random
//! reads of 4 KiB that are in no cache of ours.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use itemlift::config::Config;
use itemlift::point::{Catalog, Disk, PointRef, Wait};

/// Random reads. The disk should have several GiB.
const RANDOM_READS: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: point_rates ITEMLIFT_TOML VM";
    let config = Config::load(Path::new(&arguments.next().ok_or(usage)?))?;
    let vm = arguments.next().ok_or(usage)?;

    let begun = Instant::now();
    let catalog = Catalog::open(&config.source)?;
    println!("scan: {:?}", begun.elapsed());
    let open = || -> Result<Arc<Disk>, Box<dyn Error>> {
        let point = catalog.find(&vm, &PointRef::Latest)?;
        let disks = catalog.open_disks(&point)?;
        Ok(disks.into_iter().next().ok_or("it has no disks")?)
    };
    let begun = Instant::now();
    let disk = open()?;
    println!("open: {:?}", begun.elapsed());
    let mut buf = vec![0; 4096];
    disk.read_at(0, &mut buf, Wait::Allowed)?;
    println!(
        "first byte, from the begin of opening: {:?}",
        begun.elapsed()
    );

    let mut buf = vec![0; 1 << 20];
    let size = disk.info().size;
    let begun = Instant::now();
    for offset in (0..size).step_by(buf.len()) {
        let length = usize::try_from(size - offset)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        let part = buf.get_mut(..length).unwrap_or_default();
        disk.read_at(offset, part, Wait::Allowed)?;
    }
    let rate = size as f64 / begun.elapsed().as_secs_f64();
    println!("{size} bytes from end to end: {:.0} MB/s", rate / 1e6);

    // Another cache, in which nothing is yet; few of the reads meet what one of the others has brought there.
    let catalog = Catalog::open(&config.source)?;
    let point = catalog.find(&vm, &PointRef::Latest)?;
    let disks = catalog.open_disks(&point)?;
    let disk = disks.first().ok_or("it has no disks")?;
    let mut times = Vec::new();
    for number in 1..=RANDOM_READS {
        let sector = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (size / 4096).max(1);
        let part = buf.get_mut(..4096).unwrap_or_default();
        let begun = Instant::now();
        disk.read_at(sector * 4096, part, Wait::Allowed)?;
        times.push(begun.elapsed());
    }
    times.sort();
    let at = |part: usize| {
        times
            .get(times.len() * part / 100)
            .copied()
            .unwrap_or(Duration::ZERO)
    };
    println!(
        "random 4 KiB: median {:?}, 99th percentile {:?}",
        at(50),
        at(99)
    );
    Ok(())
}
