//! `point verify` of a recovery point that lies in a repository.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::site::{Site, json, succeeds, text};

/// A site with a repository besides, in which is one recovery point of two disks.
struct Bed {
    site: Site,
    disks: [Vec<u8>; 2],
}

impl Bed {
    fn new() -> Bed {
        let bed = Bed {
            site: Site::new(),
            disks: [noise(3 << 20, 1), noise(2 << 20, 2)],
        };
        fs::write(bed.path("password"), "correct horse").unwrap();
        fs::create_dir(bed.path("vm")).unwrap();
        for (name, disk) in ["a.raw", "b.raw"].iter().zip(&bed.disks) {
            fs::write(bed.path("vm").join(name), disk).unwrap();
        }
        bed.restic(&["init"]);
        bed.restic(&["backup", "--tag", "vm=db01", "."]);
        bed.site.configure(&format!(
            "[[source]]\nkind = \"restic\"\nrepository = {:?}\npassword_file = {:?}\n",
            bed.path("repository"),
            bed.path("password")
        ));
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.dir.path().join(name)
    }

    fn restic(&self, arguments: &[&str]) {
        let output = Command::new("restic")
            .args(["--no-cache", "--quiet", "--repo"])
            .arg(self.path("repository"))
            .arg("--password-file")
            .arg(self.path("password"))
            .args(arguments)
            .current_dir(self.path("vm"))
            .output();
        let output = output.unwrap_or_else(|error| {
            panic!("cannot run restic ({error}): install the package restic, these tests need it")
        });
        assert!(output.status.success(), "{output:?}");
    }

    /// The largest pack: of disks, not of folders.
    fn pack(&self) -> PathBuf {
        let folders = fs::read_dir(self.path("repository").join("data")).unwrap();
        let packs = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        let packs = packs.map(|pack| pack.unwrap().path());
        let size = |pack: &PathBuf| fs::metadata(pack).unwrap().len();
        packs.max_by_key(size).unwrap()
    }

    fn sums(&self) -> [String; 2] {
        let hex = |disk: &Vec<u8>| {
            let sum = Sha256::digest(disk);
            sum.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        self.disks.each_ref().map(hex)
    }
}

/// Bytes that do not compress.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 32) as u32
    });
    words.flat_map(u32::to_le_bytes).take(bytes).collect()
}

fn damage(pack: &Path, at: usize) {
    let mut bytes = fs::read(pack).unwrap();
    bytes[at] ^= 1;
    // restic makes them read-only.
    fs::set_permissions(pack, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(pack, bytes).unwrap();
}

#[test]
fn a_point_in_a_repository_has_sums_and_names_the_pack_that_is_damaged() {
    let bed = Bed::new();
    let server = bed.site.serve();
    let good = succeeds(&mut bed.site.run(["point", "verify", "db01", "latest"]));
    for sum in bed.sums() {
        assert!(good.contains(&sum), "{sum} of the disk: {good}");
    }
    assert!(!good.contains("Damage:"), "{good}");

    // One byte of one blob, which one disk of the two has.
    let pack = bed.pack();
    damage(&pack, 1000);
    let arguments = ["point", "verify", "db01", "latest", "--format", "json"];
    let output = bed.site.run(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let outcome = json(&text(&output.stdout));
    assert_eq!(outcome["damaged"], true);
    let disks = outcome["disks"].as_array().unwrap();
    let bad = disks.iter().position(|disk| disk["sha256"].is_null());
    let bad = bad.unwrap();
    assert_eq!(disks[1 - bad]["sha256"], json!(bed.sums()[1 - bad]));
    let [damage] = outcome["damage"].as_array().unwrap().as_slice() else {
        panic!("one range: {outcome}");
    };
    assert_eq!(damage["disk"], disks[bad]["disk"]);
    // The whole blob, of which restic makes none smaller than 512 KiB but the last; in blocks of 512 bytes.
    let (offset, bytes) = (&damage["offset"], &damage["bytes"]);
    let (offset, bytes) = (offset.as_u64().unwrap(), bytes.as_u64().unwrap());
    assert!(
        bytes >= 4096 && bytes <= bed.disks[bad].len() as u64,
        "{damage}"
    );
    assert_eq!(damage["lba"], json!(offset / 512));
    let reason = damage["reason"].as_str().unwrap();
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(reason.contains(name), "{reason}");
    assert!(reason.contains("restic check --read-data"), "{reason}");

    // The pack is not there at all: nothing of it can be read, and the command comes to its end all the same.
    fs::remove_file(&pack).unwrap();
    let output = bed.site.run(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let table = text(&output.stdout);
    assert!(
        table.contains(name) && table.contains("does not exist"),
        "{table}"
    );
    server.stop();
}
