//! Looks through the folders of a snapshot for disk images.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use disk_image::Format;
use rustix::fs::FileType;

use super::error::RepositoryError;
use super::id::Id;
use super::repository::Repository;
use super::tree::{EntryKind, Tree};
use crate::point::images::POINT_TOML;

/// Folders of a snapshot that are looked through, at most: each is a read. A backup of a whole system has many, a backup of
/// disk images has few, and those near the root are looked at first.
pub(super) const MAX_FOLDERS: usize = 512;

/// Bytes of their lists, at most: those of a snapshot of 64 TiB have less than half.
const MAX_FOLDER_BYTES: usize = 4 << 30;

/// Disk images of a snapshot that are noted, at most: some more than can be served.
const MAX_IMAGES: usize = 1024;

/// Extensions of raw images; a flat extent of VMware's is one, too. Others that raw images have elsewhere are those of many
/// other files.
const RAW_EXTENSIONS: &[&str] = &["raw", "img", "dd", "vmdk"];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Paths from the snapshot's root.
    pub(super) images: Vec<PathBuf>,
    /// Folders with a `point.toml`.
    pub(super) described: Vec<Described>,
    /// Folders that cannot be read, while others can.
    pub(super) unreadable: Vec<(PathBuf, RepositoryError)>,
    /// Not every folder was looked at.
    pub(super) is_partial: bool,
}

/// A folder with a `point.toml`.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) folder: PathBuf,
    pub(super) toml: Vec<Id>,
    pub(super) entries: Vec<(OsString, FileType)>,
    pub(super) has_images: bool,
}

impl Contents {
    /// Looks through the folders below `root`, those near it first.
    pub(super) fn find(repository: &Repository, root: &Id) -> Result<Contents, RepositoryError> {
        let mut found = Contents::default();
        let mut folders = VecDeque::from([(PathBuf::new(), *root)]);
        let (mut count, mut bytes) = (0, 0_usize);
        while let Some((path, id)) = folders.pop_front() {
            count += 1;
            if count > MAX_FOLDERS || bytes > MAX_FOLDER_BYTES || found.images.len() > MAX_IMAGES {
                found.is_partial = true;
                break;
            }
            let tree = match Tree::outline(repository, &id) {
                Err(error) if error.is_of_this_file() => {
                    found.unreadable.push((path, error));
                    continue;
                }
                read => read?,
            };
            bytes = bytes.saturating_add(tree.bytes);
            found.add(&path, &tree);
            let below = tree.entries.iter().filter_map(|entry| match entry.kind {
                EntryKind::Folder(id) => Some((path.join(&entry.name), id)),
                _ => None,
            });
            // More than are looked at need not be remembered.
            folders.extend(below.take(MAX_FOLDERS + 1));
        }
        Ok(found)
    }

    fn add(&mut self, folder: &Path, tree: &Tree) {
        let mut toml = None;
        let mut has_images = false;
        for entry in &tree.entries {
            let EntryKind::File { blobs, .. } = &entry.kind else {
                continue;
            };
            if entry.name == POINT_TOML {
                toml = Some(blobs.to_vec());
            } else if is_image(&entry.name) {
                has_images = true;
                self.images.push(folder.join(&entry.name));
            }
        }
        if let Some(toml) = toml {
            let kinds = tree.entries.iter().map(|entry| {
                let kind = match entry.kind {
                    EntryKind::File { .. } => FileType::RegularFile,
                    EntryKind::Folder(_) => FileType::Directory,
                    // A link is not followed: it is no file that could be a disk.
                    EntryKind::Link | EntryKind::Other => FileType::Unknown,
                };
                (entry.name.clone(), kind)
            });
            self.described.push(Described {
                folder: folder.to_owned(),
                toml,
                entries: kinds.collect(),
                has_images,
            });
        }
    }
}

fn is_image(name: &OsStr) -> bool {
    let path = Path::new(name);
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let is_raw = || RAW_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str());
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    // The small files that VMware keeps beside a disk.
    let is_beside = path
        .file_stem()
        .is_some_and(|stem| stem.as_encoded_bytes().ends_with(b"-ctk"));
    !is_hidden && !is_beside && (Format::of_name(path).is_some() || is_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_by_name() {
        for (name, expected) in [
            ("a.qcow2", true),
            ("a.RAW", true),
            ("a.vmdk", true),
            ("a-flat.vmdk", true),
            ("a-ctk.vmdk", false),
            ("a.img", true),
            (".a.raw.swp", false),
            ("a.bin", false),
            ("raw", false),
            ("a.txt", false),
        ] {
            assert_eq!(is_image(OsStr::new(name)), expected, "{name}");
        }
    }
}
