//! Disks with known content, QEMU's tools, and the comparison with their view.

use std::path::Path;
use std::process::Command;

use disk_image::{Disk, ReadError, Wait};

/// Runs a program that these tests cannot do without.
pub(crate) fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!(
            "cannot run {program} ({error}): install the package qemu-utils, these tests need it"
        )
    });
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {out}{err}"
    );
    out.into_owned()
}

/// `qemu-img` in a folder.
pub(crate) fn qemu_img(folder: &Path, arguments: &str) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    run("qemu-img", &arguments, folder);
}

/// `qemu-io` on an image in a folder, one command a call as its `-c` takes them.
pub(crate) fn qemu_io(folder: &Path, image: &str, commands: &[&str]) {
    let mut arguments = Vec::new();
    for command in commands {
        arguments.extend(["-c", command]);
    }
    arguments.push(image);
    let out = run("qemu-io", &arguments, folder);
    assert!(!out.contains("failed"), "{commands:?}: {out}");
}

/// Numbers that are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A disk's content with runs of zeros, of text and of noise, whose ends fit no cluster size.
pub(crate) fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut content = Vec::with_capacity(bytes);
    while content.len() < bytes {
        let run = 512 * (1 + numbers.below(400) as usize);
        match numbers.below(4) {
            0 => content.resize(content.len() + run, 0),
            1 => content.extend((0..run / 8).flat_map(|_| numbers.next().to_le_bytes())),
            _ => content.extend((0..run).map(|n| b'a' + (n / 7 % 26) as u8)),
        }
    }
    content.truncate(bytes);
    content
}

/// Random ranges that are compared.
const RANGES: u64 = 10_000;

/// The whole disk, then ten thousand random ranges, from storage and from memory.
pub(crate) fn assert_same(disk: &Disk, expected: &[u8], what: &str) {
    assert_eq!(disk.info().size, expected.len() as u64, "{what}: size");
    let mut buf = vec![0xee; 1 << 20];
    for (index, chunk) in expected.chunks(1 << 20).enumerate() {
        let offset = (index as u64) << 20;
        let part = &mut buf[..chunk.len()];
        disk.read_at(offset, part, Wait::Allowed)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(part == chunk, "{what}: the MiB at {offset} differs");
    }
    let mut numbers = Numbers(expected.len() as u64);
    for n in 0..RANGES {
        let offset = numbers.below(expected.len() as u64);
        let longest = if n % 10 == 0 { 256 * 1024 } else { 5000 };
        let length = numbers.below(longest).min(expected.len() as u64 - offset);
        let part = &mut buf[..length as usize];
        part.fill(0xee);
        let right = &expected[offset as usize..(offset + length) as usize];
        match disk.read_at(offset, part, Wait::Never) {
            Ok(()) => assert!(
                part == right,
                "{what}: {length} bytes at {offset} from memory differ"
            ),
            Err(ReadError::WouldBlock) => {}
            Err(error) => panic!("{what}: {error}"),
        }
        disk.read_at(offset, part, Wait::Allowed).unwrap();
        assert!(part == right, "{what}: {length} bytes at {offset} differ");
    }
}
