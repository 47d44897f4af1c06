//! Size costs nothing until it is read.

use std::fs;
use std::time::{Duration, Instant};

use itemlift::point::{Filter, Wait};

use crate::source::{Source, VM, qemu_img, qemu_io};

#[test]
fn thirty_two_disks_of_64_tib_open_within_a_second() {
    let source = Source::new();
    for n in 0..32 {
        qemu_img(&source, &format!("create -q -f qcow2 disk{n}.qcow2 64T"));
    }
    qemu_io(&source, "disk31.qcow2", &["write -P 5 65535G 64k"]);
    let catalog = source.catalog();
    let point = source.point();
    let start = Instant::now();
    let disks = catalog.open_disks(&point).unwrap();
    let mut buf = [1; 4096];
    for disk in &disks {
        assert_eq!(disk.info().size, 64 << 40);
        disk.read_at((64 << 40) - 4096, &mut buf, Wait::Allowed)
            .unwrap();
        assert_eq!(buf, [0; 4096]);
    }
    let took = start.elapsed();
    println!("32 disks of 64 TiB: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(disks[31].info().name, "disk31.qcow2");
    disks[31]
        .read_at(65535 << 30, &mut buf, Wait::Allowed)
        .unwrap();
    assert_eq!(buf, [5; 4096]);
}

#[test]
fn ten_thousand_points_list_within_a_second() {
    let source = Source::new();
    fs::remove_dir_all(source.root().join(VM)).unwrap();
    for vm in 0..20 {
        for n in 0..500 {
            let (day, hour) = (1 + n / 24 % 28, n % 24);
            let folder = source.root().join(format!(
                "vm{vm}/2026-{:02}-{day:02}T{hour:02}-00-00Z",
                1 + n / 24 / 28
            ));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("disk.raw"), b"").unwrap();
            fs::write(folder.join("point.toml"), "consistency = 'application'").unwrap();
        }
    }
    let start = Instant::now();
    let catalog = source.catalog();
    // A scan is waited for a short time, and goes on; the first one has no bound.
    while catalog.list(&Filter::default()).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(50));
    }
    let first = start.elapsed();
    assert_eq!(catalog.list(&Filter::default()).len(), 10_000);
    // Folders rest for a moment before their times are relied on.
    std::thread::sleep(Duration::from_secs(5));
    catalog.rescan();
    let start = Instant::now();
    catalog.rescan();
    let again = start.elapsed();
    let start = Instant::now();
    let points = catalog.list(&Filter {
        vm: Some("vm7".to_owned()),
        ..Filter::default()
    });
    let list = start.elapsed();
    println!("10,000 points: first scan {first:?}, scan again {again:?}, list {list:?}");
    assert_eq!(points.len(), 500);
    assert!(again < Duration::from_secs(1) && list < Duration::from_secs(1));
}
