//! A repository in a folder of this machine. No name leads out of it, and nothing but regular files is read.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use disk_image::{Folder, OpenFault};
use rustix::fs::FileType;
use rustix::io::{Errno, pread};

use super::{File, Kind, Part};
use crate::point::restic::error::StorageFault;

/// Bytes that are read at one time of a file whose length is not known.
const READ_BYTES: usize = 1 << 20;

/// The folder. It is opened for each read: storage may be mounted later, or again.
#[derive(Debug)]
pub(in crate::point::restic) struct LocalFolder {
    path: PathBuf,
}

impl LocalFolder {
    pub(super) fn new(path: &Path) -> LocalFolder {
        LocalFolder {
            path: path.to_owned(),
        }
    }

    pub(super) fn list(&self, kind: Kind) -> Result<Vec<String>, StorageFault> {
        let folder = Folder::open(&self.path)
            .and_then(|root| root.folder(Path::new(kind.folder())))
            .map_err(fault)?;
        let entries = folder
            .entries()
            .map_err(|errno| fault(OpenFault::Io(errno)))?;
        let files = entries
            .into_iter()
            .filter(|entry| entry.kind == FileType::RegularFile);
        Ok(files
            .filter_map(|entry| entry.name.into_string().ok())
            .collect())
    }

    pub(super) fn read(&self, file: File, part: Part) -> Result<Vec<u8>, StorageFault> {
        let root = Folder::open(&self.path).map_err(fault)?;
        let (opened, stamp) = root
            .regular_file(Path::new(&file.to_string()))
            .map_err(fault)?;
        let (offset, most) = match part {
            Part::Whole { .. } => (0, part.most().min(stamp.size)),
            Part::Range { offset, length } => {
                let end = offset.saturating_add(length.into());
                if end > stamp.size {
                    return Err(StorageFault::Short);
                }
                (offset, length.into())
            }
        };
        let mut content = vec![0; usize::try_from(most).unwrap_or(READ_BYTES)];
        let read = read_up_to(&opened, offset, &mut content)
            .map_err(|errno| fault(OpenFault::Io(errno)))?;
        content.truncate(read);
        Ok(content)
    }
}

/// Fills the buffer, or as much of it as the file has.
fn read_up_to(file: &OwnedFd, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
    let mut read = 0;
    while let Some(rest) = buf.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match pread(file, rest, offset.saturating_add(read as u64)) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(read)
}

fn fault(fault: OpenFault) -> StorageFault {
    match fault {
        OpenFault::Missing => StorageFault::Missing,
        OpenFault::Io(errno @ (Errno::ACCESS | Errno::PERM)) => {
            StorageFault::Denied(errno.to_string())
        }
        other => StorageFault::Unreachable(other.to_string()),
    }
}
