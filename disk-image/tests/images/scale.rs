//! Size and length cost nothing until something is read.

use std::time::{Duration, Instant};

use disk_image::Wait;

use crate::source::{Source, qemu_img, qemu_io};
use crate::vhdx_writer::{Image, MIB};

#[test]
fn large_disks_open_within_a_second() {
    let source = Source::new();
    for (options, name, size) in [
        ("vhdx -o block_size=1M", "disk.vhdx", 64_u64 << 40),
        ("vpc -o force_size=on", "disk.vhd", 2040 << 30),
        ("vmdk", "disk.vmdk", 64 << 40),
        ("qcow2", "disk.qcow2", 64 << 40),
    ] {
        qemu_img(&source, &format!("create -q -f {options} {name} {size}"));
        qemu_io(
            &source,
            name,
            &[&format!("write -P 5 {} 64k", size - 65536)],
        );
        let start = Instant::now();
        let disk = source.disk(name);
        let took = start.elapsed();
        println!("{name}: {took:?}");
        assert!(took < Duration::from_secs(1), "{name}: {took:?}");
        assert_eq!(disk.info().size, size);
        let mut buf = [0; 4096];
        disk.read_at(size - 4096, &mut buf, Wait::Allowed).unwrap();
        assert_eq!(buf, [5; 4096], "{name}");
        disk.read_at(size / 2, &mut buf, Wait::Allowed).unwrap();
        assert_eq!(buf, [0; 4096], "{name}");
    }
}

#[test]
fn chains_of_sixty_four_images_open_within_a_second() {
    let source = Source::new();
    let mut image = Image::new(MIB, 512, 1 << 20);
    for n in 0..64_u8 {
        image.put(usize::from(n) * 4096, &[n + 1; 4096]);
        image.data_write = [n; 16];
        image.save(&source.file(&format!("{n}.vhdx")));
        image = Image::new(MIB, 512, 1 << 20);
        image.child_of([n; 16], &[("relative_path", &format!("{n}.vhdx"))]);
    }
    let start = Instant::now();
    let disk = source.disk("63.vhdx");
    let took = start.elapsed();
    println!("64 VHDX files: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let mut buf = [0; 4096];
    for n in 0..64 {
        disk.read_at(n * 4096, &mut buf, Wait::Allowed).unwrap();
        assert_eq!(buf, [n as u8 + 1; 4096]);
    }
}
