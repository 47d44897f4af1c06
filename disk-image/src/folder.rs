//! A source's folder: every name is looked up beneath it, and no name leads out of it.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use rustix::io::Errno;

use crate::error::OpenFault;
use crate::local_file::LocalFile;
use crate::store::{FileId, ImageFile, Store};

/// The kernel asks for another try when a folder is renamed during the lookup; more than a few in
/// a row is somebody playing games.
const LOOKUP_TRIES: usize = 16;

/// An open folder which lookups are confined to.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    /// As it was opened by.
    path: PathBuf,
}

/// One name in a folder.
#[derive(Debug)]
pub struct Entry {
    /// Any bytes that a file system allows.
    pub name: OsString,
    /// A symbolic link is a link, whatever it leads to.
    pub kind: FileType,
}

/// What tells one state of a file or folder from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// Number of the file on that device.
    pub inode: u64,
    /// Bytes in it.
    pub size: u64,
    /// Modification time: seconds, nanoseconds.
    pub modified: (i64, u32),
    /// What it is.
    pub kind: FileType,
}

impl Folder {
    /// Opens a configured folder. Symbolic links in this path are the operator's, and followed.
    ///
    /// # Errors
    /// [`OpenFault`]: there is no such folder, or it cannot be read.
    pub fn open(path: &Path) -> Result<Folder, OpenFault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(fault)?;
        Ok(Folder {
            fd,
            path: path.to_owned(),
        })
    }

    /// Opens a folder beneath this one.
    ///
    /// # Errors
    /// [`OpenFault`], also when the path leads out of this folder.
    pub fn folder(&self, path: &Path) -> Result<Folder, OpenFault> {
        let fd = self.lookup(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(Folder {
            fd,
            path: self.path.join(path),
        })
    }

    /// Opens a regular file beneath this folder for reading.
    ///
    /// # Errors
    /// [`OpenFault`], also when the path leads out of this folder.
    pub fn regular_file(&self, path: &Path) -> Result<(OwnedFd, Stamp), OpenFault> {
        // A pipe does not block, a terminal does not become ours.
        let fd = self.lookup(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stamp = Stamp::of(&fd, AtFlags::empty()).map_err(OpenFault::Io)?;
        match stamp.kind {
            FileType::RegularFile => Ok((fd, stamp)),
            _ => Err(OpenFault::NotAFile),
        }
    }

    fn lookup(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, OpenFault> {
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match openat2(
                &self.fd,
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                confined,
            ) {
                Err(Errno::AGAIN | Errno::INTR) if tries < LOOKUP_TRIES => tries += 1,
                outcome => return outcome.map_err(fault),
            }
        }
    }

    /// The state of a name in this folder; a symbolic link is not followed.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn stamp(&self, path: &Path) -> Result<Stamp, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(Stamp::new(&statx(
            &self.fd,
            path,
            flags,
            StatxFlags::BASIC_STATS,
        )?))
    }

    /// The state of this folder.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn own_stamp(&self) -> Result<Stamp, Errno> {
        Stamp::of(&self.fd, AtFlags::empty())
    }

    /// Every name in this folder but `.` and `..`, in the file system's order.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn entries(&self) -> Result<Vec<Entry>, Errno> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => self.stamp(name.as_ref())?.kind,
                kind => kind,
            };
            entries.push(Entry {
                name: name.to_owned(),
                kind,
            });
        }
        Ok(entries)
    }
}

impl Store for Folder {
    fn open(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        Ok(Box::new(LocalFile::open(self, path)?))
    }

    /// By the kernel's look-up, so that links count too.
    fn open_beneath(&self, folder: &Path, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        if folder.as_os_str().is_empty() {
            return self.open(path);
        }
        let within = path.strip_prefix(folder);
        let within = within.map_err(|_| OpenFault::Outside)?;
        let (fd, stamp) = self.folder(folder)?.regular_file(within)?;
        Ok(Box::new(LocalFile::new(fd, stamp, path)))
    }

    fn relative(&self, absolute: &Path) -> Option<PathBuf> {
        absolute.strip_prefix(&self.path).map(Path::to_owned).ok()
    }
}

impl Stamp {
    /// The file that this is a state of.
    pub fn file(&self) -> FileId {
        let (major, minor) = self.device;
        FileId(u128::from(major) << 96 | u128::from(minor) << 64 | u128::from(self.inode))
    }

    /// The state of an open file. `sync` may be [`AtFlags::STATX_DONT_SYNC`], which does not wait
    /// for a file server.
    pub(crate) fn of(fd: &OwnedFd, sync: AtFlags) -> Result<Stamp, Errno> {
        let flags = AtFlags::EMPTY_PATH | sync;
        Ok(Stamp::new(&statx(fd, c"", flags, StatxFlags::BASIC_STATS)?))
    }

    fn new(found: &rustix::fs::Statx) -> Stamp {
        Stamp {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            size: found.stx_size,
            modified: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
            kind: FileType::from_raw_mode(found.stx_mode.into()),
        }
    }
}

/// What a failed lookup means.
fn fault(errno: Errno) -> OpenFault {
    match errno {
        Errno::NOENT | Errno::NOTDIR => OpenFault::Missing,
        Errno::XDEV => OpenFault::Outside,
        Errno::LOOP => OpenFault::Loop,
        Errno::NOSYS => OpenFault::KernelTooOld,
        Errno::MFILE | Errno::NFILE => OpenFault::NoFilesLeft,
        // A socket, or a device without a driver.
        Errno::NXIO | Errno::NODEV | Errno::ISDIR => OpenFault::NotAFile,
        errno => OpenFault::Io(errno),
    }
}
