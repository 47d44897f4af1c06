//! What a read of a long chain costs: as much as its images have runs, not that times the chain's length.

use disk_image::{Disk, ReadError, Wait};

use crate::source::{Source, assert_same, content, qemu_img, qemu_io, qemu_view};
use crate::vmdk_writer::{cowd, descriptor};

/// Images between the ends of a chain, which have nothing of their own.
const EMPTY: usize = 200;

const SECTORS: usize = 32;

/// Reads what lies in a piece for each sector, twice without waiting: what may be asked of images then is
/// bounded, and asking all of them for each sector is too much.
fn assert_is_read_without_waiting(disk: &Disk, expected: &[u8], what: &str) {
    let mut read = vec![0; SECTORS * 512];
    disk.read_at(0, &mut read, Wait::Allowed).unwrap();
    assert!(read == expected[..read.len()], "{what}");
    for from in [0, 512] {
        read.fill(0xee);
        let part = &mut read[from..];
        disk.read_at(from as u64, part, Wait::Never)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(*part == expected[from..][..part.len()], "{what}");
    }
}

/// Names are of three digits, so that one can be written over another.
fn copy_with_another_base(source: &Source, template: &[u8], name: usize, base: usize) {
    let mut image = template.to_vec();
    let at = image.windows(9).position(|at| at == b"999.qcow2").unwrap();
    image[at..at + 3].copy_from_slice(format!("{base:03}").as_bytes());
    source.write(&format!("{name:03}.qcow2"), image);
}

#[test]
fn qcow2_images_that_have_nothing_are_asked_once() {
    let source = Source::new();
    let options = "-q -u -f qcow2 -F qcow2 -o cluster_size=512";
    qemu_img(
        &source,
        "create -q -f qcow2 -o cluster_size=512 000.qcow2 1M",
    );
    qemu_io(&source, "000.qcow2", &["write -q -P 9 0 32k"]);
    qemu_img(
        &source,
        &format!("create {options} -b 999.qcow2 template 1M"),
    );
    let template = source.read("template");
    for n in 1..=EMPTY {
        copy_with_another_base(&source, &template, n, n - 1);
    }
    // Every other sector in the one at the top, the rest in the one at the bottom.
    copy_with_another_base(&source, &template, EMPTY + 1, EMPTY);
    let name = format!("{:03}.qcow2", EMPTY + 1);
    let writes: Vec<String> = (0..SECTORS / 2)
        .map(|n| format!("write -q -P {} {n}k 512", n + 10))
        .collect();
    let writes: Vec<&str> = writes.iter().map(String::as_str).collect();
    qemu_io(&source, &name, &writes);
    let expected = qemu_view(&source, &name, "qcow2");
    assert_is_read_without_waiting(&source.disk(&name), &expected, "every other on top");
    // Every other sector in the one above the bottom.
    qemu_io(&source, "001.qcow2", &writes);
    let name = format!("{EMPTY:03}.qcow2");
    let expected = qemu_view(&source, &name, "qcow2");
    assert_is_read_without_waiting(&source.disk(&name), &expected, "every other below");
}

#[test]
fn vmdk_deltas_that_have_nothing_are_asked_once() {
    let source = Source::new();
    let expected = content(SECTORS * 512, 21);
    let half = |odd: usize| {
        let sectors = expected.chunks(512).enumerate();
        let sectors = sectors.map(|(n, sector)| (n % 2 == odd).then(|| sector.to_vec()));
        cowd(&sectors.collect::<Vec<_>>())
    };
    let none = cowd(&vec![None; SECTORS]);
    for n in 0..=EMPTY + 1 {
        let extent = match n {
            0 => half(0),
            1 => half(1),
            _ => none.clone(),
        };
        source.write(&format!("{n}-delta.vmdk"), extent);
        let parent = n.checked_sub(1);
        let name = parent.map(|below| format!("{below}.vmdk"));
        let line = format!("RW {SECTORS} VMFSSPARSE \"{n}-delta.vmdk\"");
        let text = descriptor(
            "vmfsSparse",
            n as u32,
            parent.map(|id| id as u32).zip(name.as_deref()),
            &[line.as_str()],
        );
        source.write(&format!("{n}.vmdk"), text);
    }
    for depth in [1, EMPTY + 1] {
        let disk = source.disk(&format!("{depth}.vmdk"));
        assert_is_read_without_waiting(&disk, &expected, "halves");
    }
    assert_same(&source.disk("1.vmdk"), &expected, "halves");
}

/// An entry that is not valid costs what it describes, where nothing above has it: images are asked
/// further than a piece is long, and what is wrong there may be nobody's concern.
#[test]
fn a_bad_entry_under_data_of_an_image_above_costs_nothing() {
    let source = Source::new();
    qemu_img(
        &source,
        "create -q -f qcow2 -o cluster_size=512 000.qcow2 32k",
    );
    qemu_io(&source, "000.qcow2", &["write -q -P 9 16k 512"]);
    let options = "-q -f qcow2 -F qcow2 -o cluster_size=512";
    qemu_img(&source, &format!("create {options} -b 000.qcow2 001.qcow2"));
    qemu_io(
        &source,
        "001.qcow2",
        &["write -q -P 3 0 512", "write -q -P 4 16k 512"],
    );
    let expected = qemu_view(&source, "001.qcow2", "qcow2");
    // The entry of the one cluster that the lower image has, with a bit set that must not be.
    let mut lower = source.read("000.qcow2");
    let l1 = usize::try_from(u64::from_be_bytes(lower[40..48].try_into().unwrap())).unwrap();
    let entry = u64::from_be_bytes(lower[l1..l1 + 8].try_into().unwrap());
    let l2 = usize::try_from(entry & 0x00ff_ffff_ffff_fe00).unwrap();
    lower[l2 + 32 * 8 + 7] |= 2;
    source.write("000.qcow2", lower);
    let mut read = vec![0; expected.len()];
    let disk = source.disk("001.qcow2");
    disk.read_at(0, &mut read, Wait::Allowed).unwrap();
    assert!(read == expected);
    let below = source
        .disk("000.qcow2")
        .read_at(0, &mut read, Wait::Allowed);
    assert!(
        matches!(below, Err(ReadError::Damaged { offset: 16384, .. })),
        "{below:?}"
    );
}
