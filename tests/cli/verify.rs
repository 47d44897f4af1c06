//! `point verify` and `source check`: what they print, and the exit status.

use std::fs;
use std::os::unix::fs::FileExt as _;

use serde_json::json;

use crate::site::{POINT, Site, fails, json, succeeds, text, usage_error};

/// SHA-256 of a mebibyte of zeros.
const ZEROS: &str = "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58";

#[test]
fn a_good_point_has_sums_and_status_zero() {
    let site = Site::new();
    let server = site.serve();
    let table = succeeds(&mut site.run(["point", "verify", "web01", "latest"]));
    assert!(
        table.contains("SHA-256") && table.contains(ZEROS),
        "{table}"
    );
    assert!(!table.contains("Damage:"), "{table}");
    let arguments = [
        "point",
        "verify",
        "web01",
        POINT,
        "--disk",
        "disk0.raw",
        "--format",
        "json",
    ];
    let outcome = json(&succeeds(&mut site.run(arguments)));
    assert_eq!(
        (&outcome["point"], &outcome["damaged"]),
        (&json!(POINT), &json!(false))
    );
    assert_eq!(outcome["disks"][0]["sha256"], ZEROS);
    assert_eq!(outcome["damage"], json!([]));

    let error = fails(&mut site.run(["point", "verify", "web02", "latest"]));
    assert!(error.contains("web02"), "{error}");
    let error = fails(&mut site.run(["point", "verify", "web01", "latest", "--disk", "x"]));
    assert!(
        error.contains("no disk \"x\", but \"disk0.raw\";"),
        "{error}"
    );
    usage_error(&mut site.run(["point", "verify", "web01"]));
    server.stop();
}

#[test]
fn a_damaged_point_says_what_and_where_and_is_status_one() {
    let site = Site::new();
    let folder = site.source().join("web01").join(POINT);
    fs::write(folder.join("content"), vec![7; 1 << 20]).unwrap();
    let made = std::process::Command::new("qemu-img")
        .args([
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            "content",
            "disk1.qcow2",
        ])
        .current_dir(&folder)
        .status();
    assert!(made.unwrap().success());
    fs::remove_file(folder.join("content")).unwrap();
    let image = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(folder.join("disk1.qcow2"));
    let image = image.unwrap();
    let word = |at: u64| {
        let mut word = [0; 8];
        image.read_exact_at(&mut word, at).unwrap();
        u64::from_be_bytes(word) & 0x00ff_ffff_ffff_fe00
    };
    // A reserved bit in the entry of the third cluster.
    image
        .write_all_at(&[2], word(word(40)) + 2 * 8 + 7)
        .unwrap();
    let server = site.serve();
    let output = site
        .run(["point", "verify", "web01", "latest"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (table, error) = (text(&output.stdout), text(&output.stderr));
    assert!(table.contains(ZEROS), "the other disk is good: {table}");
    assert!(
        table.contains(
            "disk1.qcow2: bytes 131072 to 196607 (LBA 256 to 383) of the disk, in \"web01/"
        ),
        "{table}"
    );
    let last = error.lines().last().unwrap();
    assert!(
        last.starts_with("itemlift: ") && last.contains("1 of 2 disks, 1 place;"),
        "{error}"
    );
    let arguments = ["point", "verify", "web01", "latest", "--format", "json"];
    let output = site.run(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let outcome = json(&text(&output.stdout));
    assert_eq!(outcome["damaged"], true);
    let damage = &outcome["damage"][0];
    assert_eq!(
        (&damage["lba"], &damage["blocks"]),
        (&json!(256), &json!(128))
    );
    assert_eq!(outcome["disks"][1]["sha256"], json!(null));
    server.stop();
}

#[test]
fn a_check_of_the_sources_says_what_is_wrong_and_what_is_left_out() {
    let site = Site::new();
    let folder = site.source().join("web01").join(POINT);
    fs::write(folder.join("notes.md5"), "sums").unwrap();
    let server = site.serve();
    let list = json(&succeeds(
        &mut site.run(["source", "check", "--format", "json"]),
    ));
    assert_eq!(
        (&list[0]["points"], &list[0]["disks"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(list[0]["problems"], json!([]));
    let left_out = list[0]["left_out"][0]["file"].as_str().unwrap();
    assert!(left_out.ends_with("notes.md5"), "{list}");
    let table = succeeds(&mut site.run(["source", "list"]));
    assert!(
        table.contains("Left out:") && table.contains("notes.md5"),
        "{table}"
    );

    // Two disks that do not open: both are told.
    for name in ["bad1.qcow2", "bad2.qcow2"] {
        fs::write(folder.join(name), b"QFI\xfb and nothing else").unwrap();
    }
    let output = site.run(["source", "check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout);
    assert!(
        table.contains("bad1.qcow2") && table.contains("bad2.qcow2"),
        "{table}"
    );
    let last = text(&output.stderr);
    assert!(
        last.ends_with(" problems in 1 source; see the list\n"),
        "{last}"
    );
    server.stop();
}

#[test]
fn a_problem_is_shown_with_its_source() {
    let site = Site::new();
    let missing = site.out("not mounted");
    site.configure(&format!(
        "[[source]]\nkind = \"images\"\npath = {missing:?}"
    ));
    let folder = site.source().join("web01").join("monday");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("disk0.raw"), [0; 512]).unwrap();
    let server = site.serve();
    let list = succeeds(&mut site.run(["source", "list"]));
    let told = |source: &std::path::Path, problem: &str| {
        let told = format!("Problems of {}:\n  {problem}", source.display());
        assert!(list.contains(&told), "{told}\n{list}");
    };
    told(&missing, "it does not exist, or is no folder; check that");
    told(
        &site.source(),
        "\"web01/monday\": the folder's name is no time; ",
    );
    server.stop();
}

#[test]
fn a_point_is_shown_with_what_its_disks_are() {
    let site = Site::new();
    let folder = site.source().join("web01").join(POINT);
    fs::write(folder.join("broken.vhdx"), vec![1; 4096]).unwrap();
    fs::write(folder.join("notes.md5"), "sums").unwrap();
    let server = site.serve();
    let arguments = ["point", "show", "web01", POINT, "--format", "json"];
    let shown = json(&succeeds(&mut site.run(arguments)));
    assert_eq!(
        (&shown["vm"], &shown["point"]),
        (&json!("web01"), &json!(POINT))
    );
    let disks = shown["disks"].as_array().unwrap();
    assert_eq!(disks.len(), 2, "{shown}");
    assert_eq!(disks[0]["name"], "broken.vhdx");
    assert_eq!(disks[0]["size"], json!(null));
    let problem = disks[0]["problem"].as_str().unwrap();
    assert!(problem.contains("vhdx header"), "{problem}");
    assert_eq!(
        disks[1],
        json!({"name": "disk0.raw", "format": "raw", "size": 1 << 20, "sector_size": 512, "problem": null})
    );
    assert_eq!(shown["left_out"][0]["reason"], "checksum or signature");

    let table = succeeds(&mut site.run(["point", "show", "web01", "latest"]));
    for part in [POINT, "disk0.raw", "1 MiB", "Problems:\n  ", "notes.md5"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let error = fails(&mut site.run(["point", "show", "web01", "yesterday"]));
    assert!(
        error.contains("no recovery point \"yesterday\"") && error.contains("point list"),
        "{error}"
    );
    usage_error(&mut site.run(["point", "show", "web01"]));
    server.stop();
}
