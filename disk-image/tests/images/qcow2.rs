//! raw, and each variant of qcow2, whole, against `qemu-img convert`.

use disk_image::Format;

use crate::source::{Source, assert_same, content, qemu_img, qemu_io, qemu_view};

/// Not a multiple of any cluster size.
const BYTES: usize = 5 * 1024 * 1024 + 512 * 37;

/// Makes `disk.qcow2` by `qemu-img convert` with options, and compares.
fn converted(options: &str) {
    let source = Source::new();
    let expected = content(BYTES, 1);
    source.convert(&expected, &format!("-O qcow2 {options}"), "disk.qcow2");
    let disk = source.disk("disk.qcow2");
    assert_eq!(disk.info().format, Format::Qcow2);
    assert_eq!(disk.info().name, "disk.qcow2");
    assert_same(&disk, &expected, options);
}

#[test]
fn raw() {
    let source = Source::new();
    let expected = content(BYTES, 2);
    source.write("disk.img", &expected);
    let disk = source.disk("disk.img");
    assert_eq!(disk.info().format, Format::Raw);
    assert_same(&disk, &expected, "raw");
}

#[test]
fn raw_with_holes() {
    let source = Source::new();
    qemu_img(&source, "create -f raw disk.raw 40M");
    qemu_io(
        &source,
        "disk.raw",
        &["write -P 7 1M 64k", "write -P 9 39M 1M"],
    );
    assert_same(
        &source.disk("disk.raw"),
        &qemu_view(&source, "disk.raw", "raw"),
        "raw with holes",
    );
}

#[test]
fn qcow2_of_both_versions() {
    converted("-o compat=0.10");
    converted("-o compat=1.1");
    converted("-o compat=1.1,lazy_refcounts=on,refcount_bits=1");
}

#[test]
fn qcow2_of_every_cluster_size() {
    for bits in 9..=21 {
        converted(&format!("-o cluster_size={}", 1 << bits));
    }
}

#[test]
fn qcow2_compressed_by_zlib() {
    for options in [
        "compat=0.10",
        "cluster_size=512",
        "cluster_size=4096",
        "cluster_size=2M",
        "compat=1.1",
    ] {
        converted(&format!("-c -o {options}"));
    }
}

#[test]
fn qcow2_compressed_by_zstd() {
    for size in [
        "cluster_size=512",
        "cluster_size=4096",
        "cluster_size=64k",
        "cluster_size=2M",
    ] {
        converted(&format!("-c -o compression_type=zstd,{size}"));
    }
}

#[test]
fn qcow2_with_subclusters() {
    for size in ["16k", "64k", "128k", "2M"] {
        converted(&format!("-o extended_l2=on,cluster_size={size}"));
        converted(&format!("-c -o extended_l2=on,cluster_size={size}"));
    }
}

#[test]
fn qcow2_with_subclusters_written_in_parts() {
    let source = Source::new();
    qemu_img(
        &source,
        "create -f qcow2 -o extended_l2=on,cluster_size=64k disk.qcow2 9M",
    );
    qemu_io(
        &source,
        "disk.qcow2",
        &[
            "write -P 1 0 2k",
            "write -P 2 6k 4k",
            "write -z 8k 2k",
            "write -P 3 62k 4k",
            "write -P 4 1M 512k",
            "write -z 1100k 64k",
            "discard 1200k 128k",
            "write -z -u 1500k 32k",
            "write -P 5 9215k 1k",
        ],
    );
    assert_same(
        &source.disk("disk.qcow2"),
        &qemu_view(&source, "disk.qcow2", "qcow2"),
        "subclusters in parts",
    );
}

#[test]
fn qcow2_with_preallocation() {
    for kind in ["metadata", "falloc", "full"] {
        let source = Source::new();
        qemu_img(
            &source,
            &format!("create -f qcow2 -o preallocation={kind} disk.qcow2 9M"),
        );
        qemu_io(
            &source,
            "disk.qcow2",
            &["write -P 1 1M 100k", "write -P 2 8M 1M"],
        );
        assert_same(
            &source.disk("disk.qcow2"),
            &qemu_view(&source, "disk.qcow2", "qcow2"),
            kind,
        );
    }
}

#[test]
fn qcow2_with_zero_and_discarded_clusters() {
    let source = Source::new();
    qemu_img(&source, "create -f qcow2 disk.qcow2 9M");
    qemu_io(
        &source,
        "disk.qcow2",
        &[
            "write -P 1 0 9M",
            "write -z 1M 1M",
            "write -z -u 3M 1M",
            "discard 5M 1M",
            "write -P 2 1500k 3k",
        ],
    );
    assert_same(
        &source.disk("disk.qcow2"),
        &qemu_view(&source, "disk.qcow2", "qcow2"),
        "zero clusters",
    );
}

#[test]
fn qcow2_written_over_after_compression() {
    let source = Source::new();
    source.write("content", content(BYTES, 5));
    qemu_img(&source, "convert -c -O qcow2 -f raw content disk.qcow2");
    std::fs::remove_file(source.file("content")).unwrap();
    qemu_io(
        &source,
        "disk.qcow2",
        &["write -P 1 100k 300k", "write -z 2M 100k"],
    );
    assert_same(
        &source.disk("disk.qcow2"),
        &qemu_view(&source, "disk.qcow2", "qcow2"),
        "mixed",
    );
}

#[test]
fn qcow2_with_its_data_in_another_file() {
    for options in [
        "data_file=disk.data",
        "data_file=disk.data,data_file_raw=on",
        "data_file=disk.data,extended_l2=on",
    ] {
        let source = Source::new();
        qemu_img(
            &source,
            &format!("create -f qcow2 -o {options} disk.qcow2 9M"),
        );
        // At offset 0 of the data file stands the cluster that is told from "none" by one bit.
        qemu_io(
            &source,
            "disk.qcow2",
            &["write -P 1 0 64k", "write -P 2 5M 3M", "write -z 6M 64k"],
        );
        // The data file lies in the point's folder, and is no disk.
        assert_same(
            &source.disk("disk.qcow2"),
            &qemu_view(&source, "disk.qcow2", "qcow2"),
            options,
        );
    }
}

#[test]
fn qcow2_with_internal_snapshots_shows_its_current_state() {
    let source = Source::new();
    qemu_img(&source, "create -f qcow2 disk.qcow2 9M");
    qemu_io(&source, "disk.qcow2", &["write -P 1 0 4M"]);
    qemu_img(&source, "snapshot -c before disk.qcow2");
    qemu_io(
        &source,
        "disk.qcow2",
        &["write -P 2 1M 1M", "write -P 3 8M 64k"],
    );
    assert_same(
        &source.disk("disk.qcow2"),
        &qemu_view(&source, "disk.qcow2", "qcow2"),
        "internal snapshot",
    );
}

#[test]
fn qcow2_without_an_extension_speaks_for_itself() {
    let source = Source::new();
    let expected = content(BYTES, 6);
    source.write("content", &expected);
    qemu_img(&source, "convert -f raw -O qcow2 content vda");
    std::fs::remove_file(source.file("content")).unwrap();
    assert_eq!(source.disk("vda").info().format, Format::Qcow2);
    assert_same(&source.disk("vda"), &expected, "no extension");
}
