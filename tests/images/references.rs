//! Images that name other files: no name leads out of the source, no disk becomes what a guest
//! wants it to be, no chain goes on for ever.

use std::fs;
use std::os::unix::fs::symlink;

use itemlift::point::{CatalogError, Format, OpenError, OpenFault};

use crate::source::{POINT, Source, VM, assert_same, content, qemu_img, qemu_io, run};

fn fault(source: &Source) -> OpenFault {
    match source.open() {
        Err(CatalogError::Open(OpenError { fault, .. })) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_raw_disk_that_begins_with_a_qcow2_header_gains_nothing() {
    let source = Source::new();
    let victim = source.root().join("other-vm");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("secret.raw"), vec![0x5e; 1 << 20]).unwrap();
    // What a guest would write to the start of its disk.
    qemu_img(
        &source,
        "create -f qcow2 -b ../../other-vm/secret.raw -F raw evil.qcow2",
    );
    let mut bytes = fs::read(source.file("evil.qcow2")).unwrap();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    fs::remove_file(source.file("evil.qcow2")).unwrap();

    for name in ["disk.raw", "disk.img", "DISK.IMG", "vda", "vda.bak"] {
        let path = source.write(name, &bytes);
        assert!(
            matches!(fault(&source), OpenFault::Ambiguous { .. }),
            "{name}"
        );
        assert!(source.refusal().contains("format = \"raw\""), "{name}");
        // The operator's word makes it what it is: the bytes that the guest wrote.
        source.write(
            "point.toml",
            format!("[[disk]]\nfile = '{name}'\nformat = 'raw'\n"),
        );
        assert_eq!(source.disk().info().format, Format::Raw);
        assert_same(&source.disk(), &bytes, name);
        fs::remove_file(source.file("point.toml")).unwrap();
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_base_is_never_more_than_the_image_above_declares() {
    let source = Source::new();
    qemu_img(&source, "create -f qcow2 base 1M");
    qemu_io(&source, "base", &["write -P 1 0 1M"]);
    qemu_img(&source, "create -f qcow2 -b base -F qcow2 top.qcow2");
    let length = fs::metadata(source.file("base")).unwrap().len();
    let as_raw = fs::read(source.file("base")).unwrap();

    // Declared raw: raw, whatever it looks like.
    qemu_img(&source, "rebase -u -b base -F raw top.qcow2");
    source.write("point.toml", "[[disk]]\nfile = 'top.qcow2'\n");
    assert_same(
        &source.disk(),
        &as_raw[..(1 << 20).min(length as usize)],
        "declared raw",
    );

    // Declared as nothing: either guess could be wrong.
    let mut bytes = fs::read(source.file("top.qcow2")).unwrap();
    let kind = 0xe279_2aca_u32.to_be_bytes();
    let at = bytes.windows(4).position(|window| window == kind).unwrap();
    bytes[at..at + 4].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
    source.write("top.qcow2", bytes);
    assert!(matches!(fault(&source), OpenFault::Ambiguous { .. }));
    assert!(source.refusal().contains("qemu-img rebase"));
}

#[test]
fn bases_that_are_missing_or_elsewhere() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.raw"), content(1 << 20, 3)).unwrap();
    let absolute = outside.path().join("secret.raw");
    let up = format!(
        "../../../{}/secret.raw",
        outside.path().file_name().unwrap().to_str().unwrap()
    );
    for (name, expected) in [
        ("gone.raw", "does not exist"),
        (absolute.to_str().unwrap(), "leads out of the source"),
        (up.as_str(), "leads out of the source"),
        ("link.raw", "leads out of the source"),
        ("folder-link/secret.raw", "leads out of the source"),
        ("/proc/self/mem", "leads out of the source"),
        ("nbd://127.0.0.1:1/x", "not a path"),
        (
            "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
            "not a path",
        ),
        (".", "not a regular file"),
        ("pipe", "not a regular file"),
    ] {
        let source = Source::new();
        symlink(&absolute, source.file("link.raw")).unwrap();
        symlink(outside.path(), source.file("folder-link")).unwrap();
        run("mkfifo", &["pipe"], &source.file(""));
        source.write("point.toml", "[[disk]]\nfile = 'top.qcow2'\n");
        qemu_img(
            &source,
            &format!("create -q -u -f qcow2 -b {name} -F raw top.qcow2 1M"),
        );
        let refusal = source.refusal();
        assert!(
            refusal.contains(expected) && refusal.contains("top.qcow2"),
            "{name}: {refusal}"
        );
    }
}

#[test]
fn disks_that_are_elsewhere() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.raw"), content(1 << 20, 3)).unwrap();
    for file in ["../../../etc/passwd", "/etc/passwd", "link.raw"] {
        let source = Source::new();
        symlink(outside.path().join("secret.raw"), source.file("link.raw")).unwrap();
        source.write("point.toml", format!("[[disk]]\nfile = '{file}'\n"));
        assert!(
            source.refusal().contains("leads out of the source"),
            "{file}"
        );
    }
}

#[test]
fn chains_that_do_not_end() {
    let source = Source::new();
    source.write("point.toml", "[[disk]]\nfile = 'a.qcow2'\n");
    let create = |name: &str, below: &str| {
        qemu_img(
            &source,
            &format!("create -q -u -f qcow2 -b {below} -F qcow2 {name} 1M"),
        );
    };
    create("new.qcow2", "a.qcow2");
    fs::rename(source.file("new.qcow2"), source.file("a.qcow2")).unwrap();
    assert!(matches!(fault(&source), OpenFault::Loop));
    create("a.qcow2", "b.qcow2");
    create("b.qcow2", "a.qcow2");
    assert!(matches!(fault(&source), OpenFault::Loop));
    // By other names for the same file.
    fs::hard_link(source.file("a.qcow2"), source.file("c.qcow2")).unwrap();
    create("b.qcow2", "./../2026-11-20T02-00-00Z/c.qcow2");
    assert!(matches!(fault(&source), OpenFault::Loop));
    // Its own data file.
    qemu_img(&source, "create -q -f qcow2 -o data_file=d.raw d.qcow2 1M");
    fs::remove_file(source.file("d.raw")).unwrap();
    fs::hard_link(source.file("d.qcow2"), source.file("d.raw")).unwrap();
    source.write("point.toml", "[[disk]]\nfile = 'd.qcow2'\n");
    assert!(matches!(fault(&source), OpenFault::Loop));
}

#[test]
fn chains_that_are_too_long() {
    let source = Source::new();
    qemu_img(
        &source,
        "create -q -u -f qcow2 -b 000.qcow2 -F qcow2 001.qcow2 1M",
    );
    let template = fs::read(source.file("001.qcow2")).unwrap();
    let at = template
        .windows(9)
        .position(|window| window == b"000.qcow2")
        .unwrap();
    for n in 1..300 {
        let mut bytes = template.clone();
        bytes[at..at + 3].copy_from_slice(format!("{:03}", n + 1).as_bytes());
        source.write(&format!("{n:03}.qcow2"), bytes);
    }
    source.write("point.toml", "[[disk]]\nfile = '001.qcow2'\n");
    assert!(matches!(
        fault(&source),
        OpenFault::ChainTooLong { limit: 256 }
    ));
}

/// Another VM's disks: raw, and VMDK with a content ID that a guest can guess.
fn victim(source: &Source) {
    let folder = source.root().join("other-vm").join(POINT);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("secret.raw"), vec![0x5e; 1 << 20]).unwrap();
    fs::write(folder.join("disk-flat.vmdk"), vec![0x5e; 1 << 20]).unwrap();
    fs::write(folder.join("disk.vmdk"), OTHER_VMDK).unwrap();
}

const OTHER_VMDK: &str = "# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType=\"vmfs\"
RW 2048 VMFS \"disk-flat.vmdk\"
";

fn assert_keeps_to_its_vm(source: &Source, what: &str) {
    let refusal = source.refusal();
    assert!(
        refusal.contains("out of the VM's folder") && refusal.contains("references = \"source\""),
        "{what}: {refusal}"
    );
}

#[test]
fn what_an_image_names_lies_in_the_folder_of_its_vm() {
    let other = format!("../../other-vm/{POINT}");
    for (make, what) in [
        (
            format!("create -q -f qcow2 -b {other}/secret.raw -F raw top.qcow2"),
            "a base",
        ),
        (
            "create -q -f qcow2 -b link/secret.raw -F raw top.qcow2".to_owned(),
            "a base behind a link",
        ),
        (
            format!("create -q -f vmdk -b {other}/disk.vmdk -F vmdk top.vmdk"),
            "a parent",
        ),
        (
            format!("create -q -f qcow2 -o data_file={other}/new.raw top.qcow2 1M"),
            "a data file",
        ),
    ] {
        let source = Source::new();
        victim(&source);
        symlink(
            source.root().join("other-vm").join(POINT),
            source.file("link"),
        )
        .unwrap();
        qemu_img(&source, &make);
        // The link's own target is absolute, which leads out of any folder.
        fs::remove_file(source.file("link")).unwrap();
        symlink(&other, source.file("link")).unwrap();
        let file = if make.contains("vmdk") {
            "top.vmdk"
        } else {
            "top.qcow2"
        };
        let disk = format!("[[disk]]\nfile = '{file}'\n");
        source.write("point.toml", &disk);
        assert_keeps_to_its_vm(&source, what);
        source.write("point.toml", format!("references = 'source'\n{disk}"));
        let expected = if what == "a data file" { 0 } else { 0x5e };
        assert_same(&source.disk(), &vec![expected; 1 << 20], what);
    }
}

/// A flat extent of an unusual name without its descriptor: the guest's bytes are all that there is
/// to tell what it is.
#[test]
fn what_a_guest_wrote_names_no_disk_of_another_vm() {
    let source = Source::new();
    victim(&source);
    let name = format!("../../other-vm/{POINT}/disk.vmdk");
    qemu_img(
        &source,
        &format!("create -q -f vmdk -b {name} -F vmdk web_data.vmdk"),
    );
    assert_keeps_to_its_vm(&source, "a parent");
    source.write(
        "web_data.vmdk",
        OTHER_VMDK.replace("disk-flat", &name.replace("disk.vmdk", "disk-flat")),
    );
    assert_keeps_to_its_vm(&source, "an extent");
}

#[test]
fn a_chain_over_several_points_of_a_vm_is_read() {
    let source = Source::new();
    let first = source.root().join(VM).join("2026-11-19T02-00-00Z");
    fs::create_dir(&first).unwrap();
    fs::write(first.join("disk.raw"), content(1 << 20, 5)).unwrap();
    qemu_img(
        &source,
        "create -q -f qcow2 -b ../2026-11-19T02-00-00Z/disk.raw -F raw disk.qcow2",
    );
    assert_same(&source.disk(), &content(1 << 20, 5), "over two points");
}
