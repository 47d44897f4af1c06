//! A snapshot, and what it is called as a recovery point.
//!
//! The VM's name is the tag `vm=NAME`, else the host's name, else the last name of the first path that was backed up.
//! The point's ID is its time and the snapshot's short ID: the same whatever else is in the repository.
//! Tags say more: `consistency=application`, `os=Debian 12`, `disk0=PATH`, `disk1=PATH`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::RepositoryError;
use super::id::Id;
use super::repository::{Repository, guard};
use super::storage::File;
use crate::point::MAX_DISKS;

/// Bytes in a snapshot's file, at most: some thousand paths and tags.
pub(super) const MAX_SNAPSHOT_FILE: u64 = 4 << 20;

/// Bytes in a tag's value, at most: some of them are kept for each snapshot. A longer one says nothing.
const MAX_TAG_VALUE: usize = 255;

/// Bytes in a VM's name, at most: what a folder's name may have.
const MAX_VM_NAME: usize = 255;

/// A snapshot as the repository describes it.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) id: Id,
    pub(super) time: Timestamp,
    /// Its root folder.
    pub(super) tree: Id,
    /// Whether its folders tell of each file how much of it was backed up; else how long it was before that.
    pub(super) has_lengths_of_content: bool,
    host: String,
    tags: Vec<String>,
    paths: Vec<String>,
}

impl Snapshot {
    /// Reads a snapshot's file.
    pub(super) fn read(repository: &Repository, id: &Id) -> Result<Snapshot, RepositoryError> {
        let file = File::Snapshot(*id);
        let text = repository.file(file, MAX_SNAPSHOT_FILE)?;
        guard(|| {
            let read: rustic_core::repofile::SnapshotFile =
                serde_json::from_slice(&text).map_err(|error| RepositoryError::Damaged {
                    file: file.to_string(),
                    what: error.to_string(),
                })?;
            Ok(Snapshot {
                id: *id,
                time: read.time.timestamp(),
                tree: (*read.tree).into(),
                has_lengths_of_content: !read.program_version.starts_with("rustic"),
                host: read.hostname,
                tags: read.tags.iter().cloned().collect(),
                paths: read.paths.iter().cloned().collect(),
            })
        })
    }

    /// The VM that it is a backup of.
    pub(super) fn vm(&self) -> String {
        let tag = self.tag("vm").map(str::to_owned);
        let host = || Some(self.host.clone()).filter(|host| !host.is_empty());
        let path = || {
            let path = Path::new(self.paths.first()?);
            Some(path.file_stem()?.to_string_lossy().into_owned())
        };
        let name = tag.or_else(host).or_else(path);
        file_name(&name.unwrap_or_else(|| "unnamed".to_owned()))
    }

    /// The recovery point's ID.
    pub(super) fn point_id(&self) -> String {
        let time = self.time.strftime("%Y-%m-%dT%H-%M-%SZ");
        format!("{time}-{}", self.id.short())
    }

    /// The value of a tag `NAME=VALUE`.
    pub(super) fn tag(&self, name: &str) -> Option<&str> {
        self.tags
            .iter()
            .find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='))
            .filter(|value| (1..=MAX_TAG_VALUE).contains(&value.len()))
    }

    /// The files of the tags `diskN=PATH`, by N.
    pub(super) fn tagged_disks(&self) -> Vec<PathBuf> {
        let disks = self.tags.iter().filter_map(|tag| {
            let (number, path) = tag.strip_prefix("disk")?.split_once('=')?;
            Some((number.parse::<u32>().ok()?, path.into()))
        });
        let disks = disks.collect::<BTreeMap<u32, PathBuf>>().into_values();
        // One more than are served tells that there are too many.
        disks.take(MAX_DISKS + 1).collect()
    }
}

/// A name that could be a folder's, as those of other sources are.
fn file_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|letter| {
            if matches!(letter, '/' | '\0') {
                '_'
            } else {
                letter
            }
        })
        .collect();
    while name.len() > MAX_VM_NAME {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(host: &str, tags: &[&str], paths: &[&str]) -> Snapshot {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Snapshot {
            id: Id::of(b""),
            time: "2026-11-20T03:00:00.75+01:00".parse().unwrap(),
            tree: Id::of(b""),
            has_lengths_of_content: true,
            host: host.to_owned(),
            tags: owned(tags),
            paths: owned(paths),
        }
    }

    #[test]
    fn who_the_vm_is() {
        for (host, tags, paths, vm) in [
            (
                "kvm1",
                vec!["daily", "vm=web01"],
                vec!["/images/x"],
                "web01",
            ),
            ("kvm1", vec!["vm="], vec!["/images/x"], "kvm1"),
            ("kvm1", vec!["vmware"], vec![], "kvm1"),
            ("", vec![], vec!["/images/web02.qcow2"], "web02"),
            ("", vec![], vec!["/"], "unnamed"),
            ("../a\0b", vec![], vec![], ".._a_b"),
        ] {
            assert_eq!(snapshot(host, &tags, &paths).vm(), vm);
        }
        assert_eq!(snapshot(&"é".repeat(200), &[], &[]).vm().len(), 254);
    }

    #[test]
    fn its_id_is_a_time_and_the_short_id() {
        let id = snapshot("h", &[], &[]).point_id();
        assert_eq!(id, "2026-11-20T02-00-00Z-e3b0c442");
    }

    #[test]
    fn disks_by_number() {
        let tags = [
            "disk10=/c",
            "disk2=b",
            "disk0=a.raw",
            "diskette=x",
            "disk=y",
        ];
        let disks = snapshot("h", &tags, &[]).tagged_disks();
        assert_eq!(disks, ["a.raw", "b", "/c"].map(PathBuf::from));
    }
}
