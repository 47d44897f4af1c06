//! Images that are based on others.

use disk_image::{ReadError, Wait};

use crate::source::{Source, assert_same, content, qemu_img, qemu_io, qemu_view};

#[test]
fn overlay_on_qcow2_on_raw() {
    let source = Source::new();
    source.write("base.raw", content(6 << 20, 11));
    qemu_img(&source, "create -f qcow2 -b base.raw -F raw middle.qcow2");
    qemu_io(
        &source,
        "middle.qcow2",
        &["write -P 1 100k 300k", "write -z 2M 1M"],
    );
    qemu_img(
        &source,
        "create -f qcow2 -b middle.qcow2 -F qcow2 -o cluster_size=4k top.qcow2",
    );
    qemu_io(
        &source,
        "top.qcow2",
        &[
            "write -P 2 200k 3k",
            "write -z 4M 5k",
            "write -P 3 2500k 1k",
        ],
    );
    assert_same(
        &source.disk("top.qcow2"),
        &qemu_view(&source, "top.qcow2", "qcow2"),
        "chain",
    );
}

#[test]
fn overlay_larger_and_smaller_than_what_is_below() {
    for (middle, top) in [
        ("3M", "8M"),
        ("8M", "3M"),
        ("6M", "12M"),
        ("3001k", "3500k"),
    ] {
        let source = Source::new();
        source.write("base.raw", content(6 << 20, 12));
        qemu_img(
            &source,
            &format!("create -f qcow2 -b base.raw -F raw middle.qcow2 {middle}"),
        );
        qemu_img(
            &source,
            &format!("create -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 {top}"),
        );
        qemu_io(&source, "top.qcow2", &["write -P 2 200k 3k"]);
        // Where `middle` is shorter than `base`, the rest of `base` must not shine through.
        assert_same(
            &source.disk("top.qcow2"),
            &qemu_view(&source, "top.qcow2", "qcow2"),
            &format!("{middle} under {top}"),
        );
    }
}

#[test]
fn overlay_resized_after_it_was_written() {
    let source = Source::new();
    source.write("base.raw", content(6 << 20, 13));
    qemu_img(&source, "create -f qcow2 -b base.raw -F raw top.qcow2");
    qemu_io(&source, "top.qcow2", &["write -P 2 5M 1M"]);
    qemu_img(&source, "resize --shrink top.qcow2 4M");
    qemu_img(&source, "resize top.qcow2 9M");
    assert_same(
        &source.disk("top.qcow2"),
        &qemu_view(&source, "top.qcow2", "qcow2"),
        "resized",
    );
}

#[test]
fn base_whose_size_is_no_multiple_of_a_sector() {
    let source = Source::new();
    source.write("base.raw", content((1 << 20) + 100, 14));
    qemu_img(&source, "create -f qcow2 -b base.raw -F raw top.qcow2 2M");
    assert_same(
        &source.disk("top.qcow2"),
        &qemu_view(&source, "top.qcow2", "qcow2"),
        "odd base",
    );
}

#[test]
fn subclusters_over_compressed_over_data_file() {
    let source = Source::new();
    qemu_img(
        &source,
        "create -f qcow2 -o data_file=base.data base.qcow2 6M",
    );
    qemu_io(&source, "base.qcow2", &["write -P 1 0 6M"]);
    qemu_img(
        &source,
        "create -f qcow2 -b base.qcow2 -F qcow2 middle.qcow2",
    );
    qemu_io(
        &source,
        "middle.qcow2",
        &["write -c -P 2 1M 64k", "write -c -P 3 2M 64k"],
    );
    qemu_img(
        &source,
        "create -f qcow2 -b middle.qcow2 -F qcow2 -o extended_l2=on top.qcow2",
    );
    qemu_io(
        &source,
        "top.qcow2",
        &[
            "write -P 4 1030k 2k",
            "write -z 2050k 4k",
            "write -P 5 3M 3k",
        ],
    );
    assert_same(
        &source.disk("top.qcow2"),
        &qemu_view(&source, "top.qcow2", "qcow2"),
        "mixed chain",
    );
}

#[test]
fn sixty_four_images() {
    let source = Source::new();
    qemu_img(&source, "create -f qcow2 0.qcow2 6M");
    qemu_io(&source, "0.qcow2", &["write -P 200 0 6M"]);
    for n in 1..64 {
        let (name, below) = (format!("{n}.qcow2"), format!("{}.qcow2", n - 1));
        qemu_img(
            &source,
            &format!("create -f qcow2 -b {below} -F qcow2 {name}"),
        );
        qemu_io(&source, &name, &[&format!("write -P {n} {}k 64k", n * 64)]);
    }
    assert_same(
        &source.disk("63.qcow2"),
        &qemu_view(&source, "63.qcow2", "qcow2"),
        "64 images",
    );
}

#[test]
fn what_lies_in_too_many_pieces_is_left_to_a_thread_that_may_wait() {
    let source = Source::new();
    source.write("base.raw", content(256 << 10, 14));
    qemu_img(
        &source,
        "create -f qcow2 -b base.raw -F raw -o cluster_size=512 top.qcow2",
    );
    // Every other sector: 512 runs, and two images are asked for half of them.
    let writes: Vec<String> = (0..256)
        .map(|n| format!("write -q -P {} {}k 512", n % 251 + 1, n))
        .collect();
    qemu_io(
        &source,
        "top.qcow2",
        &writes.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let expected = qemu_view(&source, "top.qcow2", "qcow2");
    let disk = source.disk("top.qcow2");
    let mut read = vec![0; 256 << 10];
    disk.read_at(0, &mut read, Wait::Allowed).unwrap();
    assert!(read == expected);
    let hot = disk.read_at(0, &mut read, Wait::Never);
    assert!(matches!(hot, Err(ReadError::WouldBlock)), "{hot:?}");
    disk.read_at(0, &mut read[..64 << 10], Wait::Never).unwrap();
    assert!(read[..64 << 10] == expected[..64 << 10]);
}

#[test]
fn base_in_another_folder_of_the_source() {
    let source = Source::new();
    std::fs::create_dir(source.root().join("templates")).unwrap();
    std::fs::write(
        source.root().join("templates/golden.img"),
        content(3 << 20, 15),
    )
    .unwrap();
    qemu_img(
        &source,
        "create -f qcow2 -b ../templates/golden.img -F raw relative.qcow2",
    );
    let absolute = source.root().join("templates/golden.img");
    let absolute = absolute.to_str().unwrap();
    qemu_img(
        &source,
        &format!("create -f qcow2 -b {absolute} -F raw absolute.qcow2"),
    );
    for name in ["relative.qcow2", "absolute.qcow2"] {
        assert_same(&source.disk(name), &content(3 << 20, 15), name);
    }
}

#[test]
fn qcow2_over_an_image_of_another_format() {
    for (format, name) in [
        ("vpc", "base.vhd"),
        ("vhdx", "base.vhdx"),
        ("vmdk", "base.vmdk"),
    ] {
        let source = Source::new();
        source.convert(&content(3 << 20, 17), &format!("-O {format}"), name);
        qemu_img(
            &source,
            &format!("create -q -f qcow2 -b {name} -F {format} top.qcow2"),
        );
        qemu_io(&source, "top.qcow2", &["write -P 1 100k 300k"]);
        assert_same(
            &source.disk("top.qcow2"),
            &qemu_view(&source, "top.qcow2", "qcow2"),
            format,
        );
    }
}
