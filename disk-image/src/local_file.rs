//! A file of the local machine: bytes at an offset, from the page cache alone or from the storage
//! below it.
//!
//! Files are read, never mapped: a mapped file that is truncated ends the process by SIGBUS, a
//! read ends in an error.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, SeekFrom, seek};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use crate::disk::Wait;
use crate::error::{Damage, OpenFault};
use crate::folder::{Folder, Stamp};
use crate::store::{Fault, FileId, ImageFile};

/// One open file.
#[derive(Debug)]
pub(crate) struct LocalFile {
    fd: OwnedFd,
    path: Arc<Path>,
    opened: Stamp,
    /// Cleared for good when the file system cannot say whether a read would block.
    can_read_cached: AtomicBool,
}

impl LocalFile {
    /// Opens a regular file beneath a folder; `path` is relative to it.
    pub(crate) fn open(folder: &Folder, path: &Path) -> Result<LocalFile, OpenFault> {
        let (fd, stamp) = folder.regular_file(path)?;
        Ok(LocalFile::new(fd, stamp, path))
    }

    /// An open regular file, as it is now, and what it is called.
    pub(crate) fn new(fd: OwnedFd, opened: Stamp, path: &Path) -> LocalFile {
        LocalFile {
            fd,
            path: path.into(),
            opened,
            can_read_cached: AtomicBool::new(true),
        }
    }

    /// From the page cache only; a miss of a single byte is a miss.
    fn read_cached(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        if !self.can_read_cached.load(Ordering::Relaxed) {
            return Err(Fault::WouldBlock);
        }
        let wanted = buf.len();
        let read = preadv2(
            &self.fd,
            &mut [IoSliceMut::new(buf)],
            offset,
            ReadWriteFlags::NOWAIT,
        );
        match read {
            Ok(count) if count == wanted => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.can_read_cached.store(false, Ordering::Relaxed);
                Err(Fault::WouldBlock)
            }
            // Also the end of the file and errors: the read that may wait tells them apart.
            Ok(_) | Err(_) => Err(Fault::WouldBlock),
        }
    }

    fn read_blocking(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let mut good = 0;
        while let Some(rest) = buf.get_mut(good..).filter(|rest| !rest.is_empty()) {
            let damage = match pread(&self.fd, rest, offset.saturating_add(good as u64)) {
                Ok(0) => Damage::Truncated {
                    end: offset.saturating_add(good as u64),
                },
                Ok(count) => {
                    good += count;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(errno) => Damage::Io(errno),
            };
            return Err(Fault::Damaged {
                good,
                path: Arc::clone(&self.path),
                damage,
            });
        }
        Ok(())
    }

    /// Looks after the read, so that a change during the read is seen too. Without waiting, the
    /// kernel answers from what it knows.
    fn check_unchanged(&self, wait: Wait) -> Result<(), Fault> {
        let sync = match wait {
            Wait::Never => AtFlags::STATX_DONT_SYNC,
            Wait::Allowed | Wait::Ahead => AtFlags::empty(),
        };
        match Stamp::of(&self.fd, sync) {
            Ok(now) if now == self.opened => Ok(()),
            Ok(_) => Err(self.damaged(Damage::Changed)),
            Err(errno) => Err(self.damaged(Damage::Io(errno))),
        }
    }

    fn damaged(&self, damage: Damage) -> Fault {
        (self as &dyn ImageFile).fault(damage)
    }
}

impl ImageFile for LocalFile {
    fn path(&self) -> &Arc<Path> {
        &self.path
    }

    fn size(&self) -> u64 {
        self.opened.size
    }

    fn id(&self) -> FileId {
        self.opened.file()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8], wait: Wait) -> Result<(), Fault> {
        match wait {
            Wait::Never => self.read_cached(offset, buf)?,
            Wait::Allowed | Wait::Ahead => self.read_blocking(offset, buf)?,
        }
        self.check_unchanged(wait)
    }

    fn hole_at(&self, offset: u64) -> u64 {
        let size = self.opened.size;
        let data = match seek(&self.fd, SeekFrom::Data(offset)) {
            Ok(data) => data,
            // There is no data up to the end.
            Err(Errno::NXIO) => size,
            Err(_) => offset,
        };
        // The read that follows says what has changed.
        match self.check_unchanged(Wait::Allowed) {
            Ok(()) => data.min(size).saturating_sub(offset),
            Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::fs::FileExt as _;

    use rustix::fs::{Advice, fadvise};

    use super::*;

    fn open(folder: &Path, name: &str) -> LocalFile {
        LocalFile::open(&Folder::open(folder).unwrap(), name.as_ref()).unwrap()
    }

    #[test]
    fn without_waiting_only_what_is_in_memory_is_read() {
        // Beside the program under test: on a disk, where a temporary folder may be in memory.
        let program = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let mut written = File::create(folder.path().join("disk")).unwrap();
        written.write_all(&[7; 1 << 20]).unwrap();
        written.sync_all().unwrap();
        let file = open(folder.path(), "disk");
        fadvise(&file.fd, 0, None, Advice::DontNeed).unwrap();

        let mut buf = [0; 4096];
        let cold = file.read_exact_at(0, &mut buf, Wait::Never);
        assert!(matches!(cold, Err(Fault::WouldBlock)), "{cold:?}");
        file.read_exact_at(0, &mut buf, Wait::Allowed).unwrap();
        buf.fill(0);
        file.read_exact_at(0, &mut buf, Wait::Never).unwrap();
        assert_eq!(buf, [7; 4096]);
        assert!(file.can_read_cached.load(Ordering::Relaxed));
    }

    #[test]
    fn where_the_file_system_cannot_tell_every_read_is_left_to_a_thread_that_may_wait() {
        // Files in /proc know no RWF_NOWAIT, as those of some network file systems.
        let file = open(Path::new("/proc"), "version");
        let mut buf = [0; 5];
        let read = file.read_exact_at(0, &mut buf, Wait::Never);
        assert!(matches!(read, Err(Fault::WouldBlock)), "{read:?}");
        assert!(
            !file.can_read_cached.load(Ordering::Relaxed),
            "it is not asked again"
        );
        file.read_blocking(0, &mut buf).unwrap();
        assert_eq!(&buf, b"Linux");
    }

    #[test]
    fn holes_are_known_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let written = File::create(folder.path().join("disk")).unwrap();
        written.set_len(1 << 20).unwrap();
        written.write_all_at(&[7; 4096], 512 << 10).unwrap();
        let file = open(folder.path(), "disk");
        assert_eq!(file.hole_at(0), 512 << 10);
        assert_eq!(file.hole_at(1000), (512 << 10) - 1000);
        assert_eq!(file.hole_at(512 << 10), 0, "data");
        assert_eq!(file.hole_at(600_000), (1 << 20) - 600_000, "to the end");
        assert_eq!(file.hole_at(1 << 20), 0, "beyond it");
        written.set_len(2 << 20).unwrap();
        assert_eq!(file.hole_at(0), 0, "it is not what was opened");
    }
}
