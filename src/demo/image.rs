//! The demo's virtual machine: a GPT disk with an ext4 file system and files in it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::gpt::{Guids, Layout, Partition, SECTOR};
use crate::grant::credentials::{NoRandomness, random};

/// Bytes. Small enough for any machine, large enough that a read takes more than one command.
pub(super) const DISK_SIZE: u64 = 64 << 20;

/// Where the partition begins, in sectors: 1 MiB, as every installer does it.
const PARTITION_AT: u64 = 2048;

/// Bytes of the one big file.
const PHOTO_SIZE: usize = 20 << 20;

/// Where mkfs.ext4 is when a user's PATH leaves it out.
const SYSTEM_PATHS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The disk could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No mkfs.ext4.
    #[error(
        "mkfs.ext4 is not on this machine, and the demo needs it to make a disk: install the package e2fsprogs"
    )]
    NoMkfs,
    /// It did not do its work.
    #[error("mkfs.ext4 failed: {0}")]
    Mkfs(String),
    /// The system refused something.
    #[error("cannot write {path:?}: {source}; is there {size} MiB of room?", size = DISK_SIZE >> 20)]
    Write {
        /// What we wrote.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Makes the disk `image`, with the help of an empty folder `files`, which then holds what the file system holds. Returns its
/// SHA-256 digest.
pub(super) fn make(image: &Path, files: &Path) -> Result<[u8; 32], ImageError> {
    let failed = |source| ImageError::Write {
        path: image.to_owned(),
        source,
    };
    let mkfs = find_mkfs(std::env::var_os("PATH"))?;
    write_files(files).map_err(|source| ImageError::Write {
        path: files.to_owned(),
        source,
    })?;
    let disk = File::create_new(image).map_err(failed)?;
    // Sparse: what nobody writes takes no room.
    disk.set_len(DISK_SIZE).map_err(failed)?;
    let layout =
        Layout::of(DISK_SIZE / SECTOR).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let partition = Partition {
        first: PARTITION_AT,
        last: layout.last_usable(),
        name: "data",
    };
    make_file_system(&mkfs, image, files, &partition)?;
    let guids = Guids {
        disk: random()?,
        partition: random()?,
    };
    layout.write(&disk, &partition, &guids).map_err(failed)?;
    disk.sync_all().map_err(failed)?;
    digest(image).map_err(failed)
}

/// A home folder with something for everybody to look for.
fn write_files(files: &Path) -> io::Result<()> {
    let home = files.join("home/anna");
    fs::create_dir_all(home.join("Documents"))?;
    fs::create_dir_all(home.join("Photos"))?;
    fs::create_dir_all(files.join("etc"))?;
    fs::write(files.join("etc/hostname"), "demo\n")?;
    fs::write(
        home.join("Documents/Quarterly report.txt"),
        "The file that was deleted by mistake, and that is needed by noon.\n",
    )?;
    let mut photo = Vec::with_capacity(PHOTO_SIZE);
    let mut block = Sha256::digest(b"photo");
    while photo.len() < PHOTO_SIZE {
        photo.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    fs::write(home.join("Photos/summer.raw"), photo)
}

fn make_file_system(
    mkfs: &Path,
    image: &Path,
    files: &Path,
    partition: &Partition,
) -> Result<(), ImageError> {
    let kibibytes = (partition.last + 1 - partition.first) * SECTOR / 1024;
    let output = Command::new(mkfs)
        .args(["-q", "-F", "-L", "demo", "-d"])
        .arg(files)
        .args(["-E", &format!("offset={}", partition.first * SECTOR)])
        .arg(image)
        .arg(format!("{kibibytes}k"))
        .output()
        .map_err(|error| ImageError::Mkfs(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(ImageError::Mkfs(said.trim().to_owned()))
    }
}

fn find_mkfs(path: Option<OsString>) -> Result<PathBuf, ImageError> {
    std::env::split_paths(&path.unwrap_or_default())
        .chain(SYSTEM_PATHS.map(PathBuf::from))
        .map(|folder| folder.join("mkfs.ext4"))
        .find(|file| file.is_file())
        .ok_or(ImageError::NoMkfs)
}

fn digest(image: &Path) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(image)?, &mut DigestWriter(&mut digest))?;
    Ok(digest.finalize().into())
}

struct DigestWriter<'a>(&'a mut Sha256);

impl io::Write for DigestWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn the_disk_is_sparse_and_its_file_system_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("disk0.raw");
        let digest = make(&image, &dir.path().join("files")).unwrap();
        assert_eq!(digest, super::digest(&image).unwrap());
        let metadata = fs::metadata(&image).unwrap();
        assert_eq!(metadata.len(), DISK_SIZE);
        assert!(metadata.blocks() * 512 < DISK_SIZE / 2);
        let offset = PARTITION_AT * SECTOR;
        let check = Command::new("e2fsck")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(["-f", "-n"])
            .arg(format!("{}?offset={offset}", image.display()))
            .output()
            .expect("e2fsck (package e2fsprogs) is needed for this test");
        assert!(check.status.success(), "{check:?}");
    }

    #[test]
    fn no_mkfs_is_said_plainly() {
        let found = find_mkfs(Some("/nonexistent".into()));
        // Found in the system's folders, or the advice is given.
        match found {
            Ok(mkfs) => assert!(mkfs.is_absolute()),
            Err(error) => assert!(error.to_string().contains("e2fsprogs")),
        }
    }
}
