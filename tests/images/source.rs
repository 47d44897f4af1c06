//! A source in a temporary folder, QEMU's tools to fill it, and the comparison with their view.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use itemlift::point::{
    Catalog, CatalogError, Disk, PointRef, ReadError, RecoveryPoint, SourceConfig, Wait,
};

pub(crate) const VM: &str = "vm";
pub(crate) const POINT: &str = "2026-11-20T02-00-00Z";

/// An `images` source of its own for each test.
pub(crate) struct Source {
    folder: tempfile::TempDir,
}

impl Source {
    pub(crate) fn new() -> Source {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(VM).join(POINT)).unwrap();
        Source { folder }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the one recovery point's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root().join(VM).join(POINT).join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn catalog(&self) -> Catalog {
        let config = SourceConfig::Images {
            path: self.root().to_owned(),
        };
        Catalog::open(&[config]).unwrap()
    }

    pub(crate) fn point(&self) -> Arc<RecoveryPoint> {
        self.catalog().find(VM, &PointRef::from(POINT)).unwrap()
    }

    pub(crate) fn open(&self) -> Result<Vec<Arc<Disk>>, CatalogError> {
        let catalog = self.catalog();
        catalog.open_disks(&*catalog.find(VM, &PointRef::Latest)?)
    }

    /// The only disk.
    pub(crate) fn disk(&self) -> Arc<Disk> {
        let mut disks = self.open().unwrap();
        assert_eq!(disks.len(), 1);
        disks.remove(0)
    }

    /// The message of the error that opening must end in.
    pub(crate) fn refusal(&self) -> String {
        match self.open() {
            Ok(disks) => panic!(
                "opened: {:?}",
                disks.iter().map(|disk| disk.info()).collect::<Vec<_>>()
            ),
            Err(error) => error.to_string(),
        }
    }
}

/// Adds files to a folder of the source.
pub(crate) fn add(source: &Source, point: &str, files: &[(&str, &str)]) {
    let folder = source.root().join(point);
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
}

/// The names of a point's disks.
pub(crate) fn names(point: &RecoveryPoint) -> Vec<&str> {
    point.disks.iter().map(|disk| disk.name.as_str()).collect()
}

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

/// `qemu-img` in the folder of the recovery point.
pub(crate) fn qemu_img(source: &Source, arguments: &str) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    run("qemu-img", &arguments, &source.file(""));
}

/// `qemu-io` on an image, one command a call as its `-c` takes them.
pub(crate) fn qemu_io(source: &Source, image: &str, commands: &[&str]) {
    let mut arguments = Vec::new();
    for command in commands {
        arguments.extend(["-c", command]);
    }
    arguments.push(image);
    let out = run("qemu-io", &arguments, &source.file(""));
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

/// What `qemu-img` says the image holds.
pub(crate) fn qemu_view(source: &Source, image: &str, format: &str) -> Vec<u8> {
    let out = tempfile::NamedTempFile::new().unwrap();
    let to = out.path().to_str().unwrap();
    qemu_img(source, &format!("convert -f {format} -O raw {image} {to}"));
    fs::read(out.path()).unwrap()
}

/// The whole disk, then two thousand random ranges, from storage and from memory.
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
    for n in 0..2000 {
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
