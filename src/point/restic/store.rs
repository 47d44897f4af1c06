//! A snapshot as a store of image files. No name leads out of it, and symbolic links are not followed.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use disk_image::{ImageFile, OpenFault, Store};

use super::error::RepositoryError;
use super::id::Id;
use super::image::{Content, SnapshotFile, open_fault};
use super::places::ToldLength;
use super::snapshot::Snapshot;
use super::tree::{EntryKind, Tree};

/// The files of a snapshot. Their paths begin with the snapshot's whole ID, as if the repository were a folder of snapshots.
#[derive(Debug)]
pub(super) struct SnapshotStore {
    snapshot: OsString,
    root: Id,
    /// As [`ToldLength`] has it.
    has_lengths_of_content: bool,
    content: Content,
    /// The folder that was read last: the disks of a point lie beside each other.
    latest: Mutex<Option<(Id, Arc<Tree>)>>,
}

impl SnapshotStore {
    /// A store of one snapshot.
    pub(super) fn new(snapshot: &Snapshot, content: Content) -> SnapshotStore {
        SnapshotStore {
            snapshot: snapshot.id.to_string().into(),
            root: snapshot.tree,
            has_lengths_of_content: snapshot.has_lengths_of_content,
            content,
            latest: Mutex::default(),
        }
    }

    fn tree(&self, id: &Id) -> Result<Arc<Tree>, RepositoryError> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tree)) = latest.as_ref().filter(|(kept, _)| kept == id) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(Tree::read(&self.content.repository, id)?);
        *latest = Some((*id, Arc::clone(&tree)));
        Ok(tree)
    }
}

impl Store for SnapshotStore {
    fn open(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        let names = names_of(&self.snapshot, path).ok_or(OpenFault::Outside)?;
        let (name, folders) = names.split_last().ok_or(OpenFault::NotAFile)?;
        let mut folder = self.root;
        for name in folders {
            let tree = self.tree(&folder).map_err(|error| open_fault(&error))?;
            folder = match tree.entry(name) {
                Some(EntryKind::Folder(id)) => *id,
                Some(EntryKind::Link) => return Err(OpenFault::NotAFile),
                Some(EntryKind::File { .. } | EntryKind::Other) | None => {
                    return Err(OpenFault::Missing);
                }
            };
        }
        let tree = self.tree(&folder).map_err(|error| open_fault(&error))?;
        match tree.entry(name) {
            Some(EntryKind::File { blobs, bytes }) => {
                let path: PathBuf = [&self.snapshot].into_iter().chain(&names).collect();
                let told = ToldLength {
                    bytes: *bytes,
                    is_of_content: self.has_lengths_of_content,
                };
                let file = SnapshotFile::open(&path, blobs, told, self.content.clone())?;
                Ok(Box::new(file))
            }
            Some(EntryKind::Folder(_) | EntryKind::Link | EntryKind::Other) => {
                Err(OpenFault::NotAFile)
            }
            None => Err(OpenFault::Missing),
        }
    }

    /// A snapshot holds files by the paths that they had: from its root.
    fn relative(&self, absolute: &Path) -> Option<PathBuf> {
        let path = absolute.strip_prefix("/").ok()?;
        Some(Path::new(&self.snapshot).join(path))
    }
}

/// The names on the way from the snapshot's root; `None` when the way leads out.
fn names_of(snapshot: &OsStr, path: &Path) -> Option<Vec<OsString>> {
    let mut names: Vec<&OsStr> = Vec::new();
    for part in path.strip_prefix(snapshot).ok()?.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => {
                names.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(names.into_iter().map(OsStr::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        let joined = |path: &str| {
            let names = names_of(OsStr::new("1a2b"), Path::new(path))?;
            Some(names.iter().collect::<PathBuf>())
        };
        assert_eq!(joined("1a2b/a/./b/../c"), Some("a/c".into()));
        for path in [
            "a",
            "1a2c/a",
            "/1a2b/a",
            "../1a2b/a",
            "1a2b/..",
            "1a2b/../1a2c/a",
            "1a2b/../1a2b/a",
            "1a2b/a/../../b",
        ] {
            assert_eq!(joined(path), None, "{path}");
        }
    }
}
