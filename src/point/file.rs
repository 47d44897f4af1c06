//! An image file: bytes at an offset, from the page cache alone or from the storage below it.
//!
//! Files are read, never mapped: a mapped file that is truncated ends the process by SIGBUS, a
//! read ends in an error.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::AtFlags;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::disk::Wait;
use super::error::{Damage, OpenFault};
use super::folder::{Folder, Stamp};

/// One open image file. It is taken to be immutable: once it changes, every read fails.
#[derive(Debug)]
pub(super) struct ImageFile {
    fd: OwnedFd,
    path: Arc<Path>,
    opened: Stamp,
    /// Cleared for good when the file system cannot say whether a read would block.
    can_read_cached: AtomicBool,
}

/// A read that did not give all its bytes.
#[derive(Debug)]
pub(super) enum Fault {
    /// Not in memory, and waiting was not allowed.
    WouldBlock,
    /// The bytes up to `good` were read, the next one cannot be.
    Damaged {
        good: usize,
        /// The file at fault.
        path: Arc<Path>,
        damage: Damage,
    },
}

impl Fault {
    /// What a fault in a table means for the bytes that the table describes.
    pub(super) fn for_all_of_it(mut self) -> Fault {
        if let Fault::Damaged { good, .. } = &mut self {
            *good = 0;
        }
        self
    }
}

impl From<Fault> for OpenFault {
    fn from(fault: Fault) -> OpenFault {
        match fault {
            Fault::Damaged {
                damage: Damage::Io(errno),
                ..
            } => OpenFault::Io(errno),
            Fault::Damaged {
                damage: Damage::Truncated { end },
                ..
            } => OpenFault::Damaged(format!("the file ends too soon, at byte {end}")),
            Fault::Damaged { .. } | Fault::WouldBlock => {
                OpenFault::Damaged("the file changed while it was opened".to_owned())
            }
        }
    }
}

impl ImageFile {
    /// Opens a regular file beneath a folder; `path` is relative to it.
    pub(super) fn open(folder: &Folder, path: &Path) -> Result<ImageFile, OpenFault> {
        let (fd, opened) = folder.regular_file(path)?;
        Ok(ImageFile {
            fd,
            path: path.into(),
            opened,
            can_read_cached: AtomicBool::new(true),
        })
    }

    /// Where it lies, relative to its source.
    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Bytes in it when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.opened.size
    }

    /// Whether both are one file, whatever their names.
    pub(super) fn is_same(&self, other: &ImageFile) -> bool {
        self.is_file(&other.opened)
    }

    /// Whether it is the file that this was found of.
    pub(super) fn is_file(&self, found: &Stamp) -> bool {
        (self.opened.device, self.opened.inode) == (found.device, found.inode)
    }

    /// The first so many bytes, or all if the file has fewer.
    pub(super) fn read_start(&self, bytes: u64) -> Result<Vec<u8>, OpenFault> {
        let length = usize::try_from(bytes.min(self.len())).unwrap_or_default();
        let mut start = vec![0; length];
        self.read_exact_at(0, &mut start, Wait::Allowed)?;
        Ok(start)
    }

    /// A fault for which this file is to blame.
    pub(super) fn fault(&self, damage: Damage) -> Fault {
        Fault::Damaged {
            good: 0,
            path: Arc::clone(&self.path),
            damage,
        }
    }

    /// Fills `buf` with the bytes at `offset`.
    pub(super) fn read_exact_at(
        &self,
        offset: u64,
        buf: &mut [u8],
        wait: Wait,
    ) -> Result<(), Fault> {
        match wait {
            Wait::Never => self.read_cached(offset, buf)?,
            Wait::Allowed => self.read_blocking(offset, buf)?,
        }
        self.check_unchanged(wait)
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
            Wait::Allowed => AtFlags::empty(),
        };
        match Stamp::of(&self.fd, sync) {
            Ok(now) if now == self.opened => Ok(()),
            Ok(_) => Err(self.fault(Damage::Changed)),
            Err(errno) => Err(self.fault(Damage::Io(errno))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use rustix::fs::{Advice, fadvise};

    use super::*;

    fn open(folder: &Path, name: &str) -> ImageFile {
        ImageFile::open(&Folder::open(folder).unwrap(), name.as_ref()).unwrap()
    }

    #[test]
    fn without_waiting_only_what_is_in_memory_is_read() {
        // Beside the program under test: on a disk, where a temporary folder may be in memory.
        let program = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        fs::write(folder.path().join("disk"), vec![7; 1 << 20]).unwrap();
        File::open(folder.path().join("disk"))
            .unwrap()
            .sync_all()
            .unwrap();
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
}
