//! Which images of a chain are disks.

use crate::source::{Source, assert_same, content, qemu_img};

#[test]
fn what_another_disk_is_based_on_or_has_its_data_in_is_no_disk() {
    let source = Source::new();
    source.write("base.raw", content(1 << 20, 11));
    qemu_img(
        &source,
        "create -q -f qcow2 -b base.raw -F raw middle.qcow2",
    );
    qemu_img(
        &source,
        "create -q -f qcow2 -b middle.qcow2 -F qcow2 -o data_file=top.data top.qcow2",
    );
    let disk = source.disk();
    assert_eq!(disk.info().name, "top.qcow2");
    assert_same(&disk, &content(1 << 20, 11), "chain");
}

#[test]
fn a_vmdk_of_many_files_is_one_disk() {
    let source = Source::new();
    source.write("content", content(1 << 20, 12));
    qemu_img(
        &source,
        "convert -f raw -O vmdk -o subformat=twoGbMaxExtentFlat content disk.vmdk",
    );
    std::fs::remove_file(source.file("content")).unwrap();
    source.write("disk-ctk.vmdk", "which blocks have changed");
    let disk = source.disk();
    assert_eq!(disk.info().name, "disk.vmdk");
    assert_same(&disk, &content(1 << 20, 12), "two files");
    qemu_img(
        &source,
        "create -q -f vmdk -b disk.vmdk -F vmdk disk-000001.vmdk",
    );
    let disk = source.disk();
    assert_eq!(disk.info().name, "disk-000001.vmdk");
    assert_same(&disk, &content(1 << 20, 12), "a delta on two files");
}

#[test]
fn base_listed_in_point_toml_is_a_disk_too() {
    let source = Source::new();
    source.write("base.raw", content(1 << 20, 16));
    qemu_img(&source, "create -f qcow2 -b base.raw -F raw top.qcow2");
    source.write(
        "point.toml",
        "[[disk]]\nfile = 'top.qcow2'\n[[disk]]\nfile = 'base.raw'\nname = 'before'\n",
    );
    let names: Vec<String> = source
        .open()
        .unwrap()
        .iter()
        .map(|disk| disk.info().name.clone())
        .collect();
    assert_eq!(names, ["top.qcow2", "before"]);
}
