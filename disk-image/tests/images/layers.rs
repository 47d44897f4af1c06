//! Chains of images that differ in size, in the size of their blocks and in what they hold, against a model of them.
//!
//! Sizes are such that blocks, grains, tables, bitmaps and extents end where others do not.

use disk_image::{Disk, ReadError, Wait};

use crate::source::{Numbers, Source};
use crate::vhd_writer::{self, footer};
use crate::vhdx_writer::{self, MIB};
use crate::vmdk_writer::{Grain, cowd, descriptor, hosted, sesparse};

/// Chains of each format.
const CHAINS: u64 = 12;

const SECTOR: usize = 512;

/// What a chain holds, image by image.
struct Model {
    numbers: Numbers,
    content: Vec<u8>,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            numbers: Numbers(seed),
            content: Vec::new(),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.numbers.below(limit as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Begins an image of so many bytes on those that are there: what they lack is zero.
    fn begin(&mut self, bytes: usize) {
        self.content.resize(bytes, 0);
    }

    /// Bytes that no other place has.
    fn noise(&mut self, bytes: usize) -> Vec<u8> {
        let words = (0..bytes.div_ceil(8)).flat_map(|_| self.numbers.next().to_le_bytes());
        words.take(bytes).collect()
    }

    /// Places in units, in order and apart from each other: where each begins, and how many it has.
    fn runs(&mut self, units: usize) -> Vec<(usize, usize)> {
        let (mut runs, mut at) = (Vec::new(), 0);
        let longest = self.one_of(&[2, 20, units / 3 + 1]);
        loop {
            at += self.below(longest * 2);
            let length = 1 + self.below(longest);
            if at + length > units {
                return runs;
            }
            runs.push((at, length));
            at += length + self.below(2);
        }
    }

    fn put(&mut self, offset: usize, content: &[u8]) {
        let end = self.content.len().min(offset + content.len());
        if let Some(place) = self.content.get_mut(offset..end) {
            place.copy_from_slice(&content[..end - offset]);
        }
    }

    /// The disk at once, then ranges of it; then all of it from the end on, by one who has read nothing yet.
    fn check(&mut self, source: &Source, name: &str, what: &str) {
        let disk = source.disk(name);
        assert_eq!(disk.info().size, self.content.len() as u64, "{what}: size");
        self.read(&disk, 0, self.content.len(), what);
        for _ in 0..150 {
            let offset = self.below(self.content.len());
            let longest = self.one_of(&[600, 70_000, self.content.len()]);
            let length = self.below(longest).min(self.content.len() - offset);
            self.read(&disk, offset, length, what);
        }
        let other = source.disk(name);
        let mut end = self.content.len();
        while end > 0 {
            let length = (1 + self.below(100_000)).min(end);
            end -= length;
            self.read(&other, end, length, what);
        }
    }

    fn read(&self, disk: &Disk, offset: usize, length: usize, what: &str) {
        let expected = &self.content[offset..offset + length];
        let mut buf = vec![0xee; length];
        match disk.read_at(offset as u64, &mut buf, Wait::Never) {
            Ok(()) => assert!(buf == expected, "{what}: {length} at {offset} from memory"),
            Err(ReadError::WouldBlock) => {}
            Err(error) => panic!("{what}: {error}"),
        }
        disk.read_at(offset as u64, &mut buf, Wait::Allowed)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(buf == expected, "{what}: {length} at {offset}");
    }
}

#[test]
fn vhd() {
    for seed in 0..CHAINS {
        let (source, mut model) = (Source::new(), Model::new(seed));
        let layers = 1 + model.below(4);
        for layer in 0..layers {
            let sectors = 1 + model.one_of(&[900, 3000, 9000]) + model.below(200);
            model.begin(sectors * SECTOR);
            let block = model.one_of(&[4 << 10, 8 << 10, 64 << 10, 2 << 20]);
            let mut image = vhd_writer::Image::new(sectors * SECTOR, block);
            image.id = [layer as u8; 16];
            if layer > 0 {
                image.parent = Some(vhd_writer::Parent {
                    id: [layer as u8 - 1; 16],
                    name: ["0.vhd", "1.vhd", "2.vhd"][layer - 1],
                    locators: Vec::new(),
                });
            }
            for (first, count) in model.runs(sectors) {
                let content = model.noise(count * SECTOR);
                image.put(first * SECTOR, &content);
                model.put(first * SECTOR, &content);
            }
            let file = match layer == 0 && model.below(3) == 0 {
                true => {
                    let size = model.content.len() as u64;
                    [&model.content[..], &footer(2, size, image.id)].concat()
                }
                false => image.bytes(),
            };
            source.write(&format!("{layer}.vhd"), file);
        }
        let name = format!("{}.vhd", layers - 1);
        model.check(&source, &name, &format!("seed {seed}"));
    }
}

#[test]
fn vhdx() {
    for seed in 0..CHAINS {
        let (source, mut model) = (Source::new(), Model::new(1000 + seed));
        let sector = model.one_of(&[512, 4096]);
        let layers = 1 + model.below(3);
        for layer in 0..layers {
            let sectors = (1 + model.below(3 * MIB)).div_ceil(sector);
            model.begin(sectors * sector);
            let block = model.one_of(&[1 << 20, 2 << 20]);
            let mut image = vhdx_writer::Image::new(sectors * sector, sector as u32, block);
            image.data_write = [layer as u8 + 1; 16];
            if layer > 0 {
                let name = format!("{}.vhdx", layer - 1);
                image.child_of([layer as u8; 16], &[("relative_path", &name)]);
            }
            for (first, count) in model.runs(sectors) {
                let content = model.noise(count * sector);
                image.put(first * sector, &content);
                model.put(first * sector, &content);
            }
            image.save(&source.file(&format!("{layer}.vhdx")));
        }
        let name = format!("{}.vhdx", layers - 1);
        model.check(&source, &name, &format!("seed {seed}"));
    }
}

#[test]
fn vmdk() {
    for seed in 0..CHAINS {
        let (source, mut model) = (Source::new(), Model::new(2000 + seed));
        let layers = 1 + model.below(4);
        for layer in 0..layers {
            let mut lines = Vec::new();
            let extents: Vec<usize> = (0..1 + model.below(5))
                .map(|_| model.one_of(&[0, 1, 700, 4000]) + model.below(1000))
                .collect();
            let sectors: usize = extents.iter().sum();
            model.begin(sectors.max(1) * SECTOR);
            let mut start = 0;
            for (index, sectors) in extents.into_iter().enumerate() {
                let name = format!("{layer}-{index}.bin");
                lines.push(extent(&mut model, &source, &name, start, sectors));
                start += sectors;
            }
            if sectors == 0 {
                lines.push("RW 1 ZERO".to_owned());
                model.put(0, &[0; SECTOR]);
            }
            let parent = format!("{}.vmdk", layer.max(1) - 1);
            let parent = (layer > 0).then_some((layer as u32, parent.as_str()));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let text = descriptor("custom", layer as u32 + 1, parent, &lines);
            source.write(&format!("{layer}.vmdk"), text);
        }
        let name = format!("{}.vmdk", layers - 1);
        model.check(&source, &name, &format!("seed {seed}"));
    }
}

/// Writes an extent of some kind; returns its line.
fn extent(model: &mut Model, source: &Source, name: &str, start: usize, sectors: usize) -> String {
    let end = (start + sectors) * SECTOR;
    let kind = model.one_of(&["ZERO", "FLAT", "SPARSE", "SPARSE", "VMFSSPARSE", "SESPARSE"]);
    if kind == "ZERO" {
        model.put(start * SECTOR, &vec![0; sectors * SECTOR]);
        return format!("RW {sectors} ZERO");
    }
    if kind == "FLAT" {
        let offset = model.below(5);
        let file = model.noise((offset + sectors) * SECTOR);
        model.put(start * SECTOR, &file[offset * SECTOR..]);
        source.write(name, file);
        return format!("RW {sectors} FLAT \"{name}\" {offset}");
    }
    let grain = match kind {
        "SPARSE" => model.one_of(&[1, 8, 128]) * SECTOR,
        "SESPARSE" => 4096,
        _ => SECTOR,
    };
    // The last grain, and more of them, may lie behind the extent's end.
    let count = (sectors * SECTOR).div_ceil(grain) + model.below(3);
    let mut grains = vec![Grain::Below; count];
    for (first, length) in model.runs(count) {
        let is_zero = kind != "VMFSSPARSE" && model.below(4) == 0;
        for (index, slot) in grains.iter_mut().enumerate().skip(first).take(length) {
            let content = match is_zero {
                true => vec![0; grain],
                false => model.noise(grain),
            };
            let at = start * SECTOR + index * grain;
            model.put(at, &content[..grain.min(end.saturating_sub(at))]);
            *slot = match is_zero {
                true => Grain::Zero,
                false => Grain::Here(content),
            };
        }
    }
    let file = match kind {
        "SPARSE" => hosted(grain, &grains),
        "SESPARSE" => sesparse(&grains),
        _ => {
            let sectors: Vec<Option<Vec<u8>>> = grains
                .into_iter()
                .map(|grain| match grain {
                    Grain::Here(content) => Some(content),
                    _ => None,
                })
                .collect();
            cowd(&sectors)
        }
    };
    source.write(name, file);
    format!("RW {sectors} {kind} \"{name}\"")
}
