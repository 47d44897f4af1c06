//! Chains of qcow2 images as chance makes them: other cluster sizes in each image, each shorter or longer than the one below,
//! written, zeroed, discarded, grown and kept as snapshots in parts that fit no cluster, against `qemu-img convert`.

use crate::source::{Numbers, Source, assert_same, content, qemu_img, qemu_io, qemu_view};

const OPTIONS: [&str; 10] = [
    "cluster_size=64k",
    "cluster_size=512",
    "cluster_size=4k,compat=0.10",
    "cluster_size=2M",
    "cluster_size=16k,extended_l2=on",
    "cluster_size=128k,extended_l2=on",
    "cluster_size=8k,compression_type=zstd",
    "cluster_size=32k,lazy_refcounts=on,refcount_bits=64",
    "cluster_size=64k,data_file=NAME.data",
    "cluster_size=32k,extended_l2=on,data_file=NAME.data",
];

/// Chains that are made in each run of the tests.
const CHAINS: u64 = 16;

struct Chain {
    source: Source,
    numbers: Numbers,
    sectors: u64,
}

impl Chain {
    fn some_sectors(&mut self) -> u64 {
        [300, 3000, 6000][self.numbers.below(3) as usize] + self.numbers.below(1000)
    }

    fn range(&mut self) -> String {
        let at = self.numbers.below(self.sectors);
        let longest = [3, 200, 5000][self.numbers.below(3) as usize];
        let length = 1 + self.numbers.below(longest);
        format!("{} {}", at * 512, length.min(self.sectors - at) * 512)
    }

    /// The lowest image, and its format.
    fn base(&mut self) -> &'static str {
        self.sectors = self.some_sectors();
        let bytes = content(self.sectors as usize * 512, self.numbers.next());
        let at = self.numbers.below(OPTIONS.len() as u64) as usize;
        let options = match self.numbers.below(3) {
            0 => {
                self.source.write("0.qcow2", bytes);
                return "raw";
            }
            // Nothing is compressed into a data file.
            1 => format!("-c -o {}", OPTIONS[at.min(7)]),
            _ => format!("-o {}", OPTIONS[at].replace("NAME", "0")),
        };
        self.source
            .convert(&bytes, &format!("-O qcow2 {options}"), "0.qcow2");
        "qcow2"
    }

    /// The image of this number upon the one before. `true`: it can be resized, and keep its state.
    fn overlay(&mut self, number: u64, format: &str) -> bool {
        self.sectors = self.some_sectors();
        let options = OPTIONS[self.numbers.below(OPTIONS.len() as u64) as usize];
        let named = options.replace("NAME", &number.to_string());
        let command = format!(
            "create -q -f qcow2 -o {named} -b {}.qcow2 -F {format} {number}.qcow2 {}",
            number - 1,
            self.sectors * 512
        );
        qemu_img(&self.source, &command);
        !options.contains("data_file") && !options.contains("0.10")
    }

    fn change(&mut self, name: &str) {
        let version_2 = self.source.read(name)[7] == 2;
        let kinds = [
            "write -P 7",
            "write -P 8",
            "write -z",
            "write -z -u",
            "discard",
        ];
        let changes: Vec<String> = (0..1 + self.numbers.below(6))
            .map(|_| {
                let kind = kinds[self.numbers.below(if version_2 { 2 } else { 5 }) as usize];
                format!("{kind} {}", self.range())
            })
            .collect();
        let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
        qemu_io(&self.source, name, &changes);
    }
}

fn as_qemu_has_it(seed: u64) {
    let mut chain = Chain {
        source: Source::new(),
        numbers: Numbers(seed),
        sectors: 0,
    };
    let mut format = chain.base();
    let images = 2 + chain.numbers.below(3);
    for number in 1..=images {
        let can_keep = chain.overlay(number, format);
        format = "qcow2";
        let name = format!("{number}.qcow2");
        chain.change(&name);
        if can_keep && chain.numbers.below(2) == 0 {
            qemu_img(&chain.source, &format!("snapshot -c kept {name}"));
            chain.sectors += chain.numbers.below(3000);
            let size = chain.sectors * 512;
            qemu_img(&chain.source, &format!("resize -q {name} {size}"));
            chain.change(&name);
        }
    }
    let (name, source) = (format!("{images}.qcow2"), &chain.source);
    let what = format!("chain {seed}");
    assert_same(
        &source.disk(&name),
        &qemu_view(source, &name, "qcow2"),
        &what,
    );
    for snapshot in source.snapshots(&name).unwrap() {
        let id = &snapshot.id;
        let command = format!("convert -f qcow2 -l snapshot.id={id} -O raw {name} ../view");
        qemu_img(source, &command);
        let mut view = std::fs::read(source.root().join("view")).unwrap();
        let kept = source.open_at(&name, id).unwrap();
        // It shows every state in the size that the disk has now.
        view.truncate(kept.info().size as usize);
        assert_same(&kept, &view, &format!("{what}, its snapshot"));
    }
}

#[test]
fn chains_as_chance_makes_them() {
    for seed in 0..CHAINS {
        as_qemu_has_it(seed);
    }
}
