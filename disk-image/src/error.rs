//! What can go wrong with a source, by blame. Each message says what failed, why, and what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use crate::format::Format;

/// A read from a disk did not give its bytes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Only with [`Wait::Never`](crate::Wait): the bytes are not in memory. Nothing is wrong.
    #[error("the bytes are not in memory: read again on a thread that may block")]
    WouldBlock,
    /// The caller asked for bytes beyond the end of the disk.
    #[error("a read of {length} bytes at offset {offset} ends beyond the disk's {size} bytes")]
    OutOfRange {
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        length: u64,
        /// Bytes the disk has.
        size: u64,
    },
    /// The source cannot give these bytes. Other ranges of the disk may still be good.
    #[error("byte {offset} of the disk cannot be read from {path:?}: {damage}")]
    Damaged {
        /// First byte of the disk that cannot be read.
        offset: u64,
        /// The image file at fault, which may be a backing file.
        path: Arc<Path>,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// Why bytes of an image file cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file is shorter than what it must hold.
    #[error("the file ends at byte {end}, before what it should hold; restore the complete file")]
    Truncated {
        /// Length of the file now.
        end: u64,
    },
    /// The file was written to after it was opened: what it holds now is not the recovery point.
    #[error("the file was changed after it was opened; make a new grant once it is complete")]
    Changed,
    /// The operating system reported an error.
    #[error("the operating system reports: {0}; check the storage that holds it")]
    Io(Errno),
    /// An index of the image holds a value that its format does not allow.
    #[error(
        "{what} at byte {at} of the file is not valid ({value:#x}); restore the file from a good copy"
    )]
    Index {
        /// Which index, in the format's words.
        what: &'static str,
        /// Where the entry stands in the file.
        at: u64,
        /// What it holds.
        value: u64,
    },
    /// What the store that the files lie in, if that is no folder, has lost or holds damaged: what, why, and what to do.
    #[error("{0}")]
    Store(String),
    /// That store does not give anything now: why, and what to do.
    #[error("{0}")]
    Unreachable(String),
    /// Compressed data does not decompress to one whole cluster.
    #[error(
        "the compressed data at byte {at} of the file does not decompress; restore the file from a good copy"
    )]
    Compressed {
        /// Where the data begins in the file.
        at: u64,
    },
    /// Somebody else was reading the same, and did not come to an end.
    #[error(
        "reading it was given up because of a fault of itemlift's own; the log says which, and reading again may help"
    )]
    GivenUp,
}

/// A disk's image, or a file it depends on, cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {path:?}{}: {fault}", referrer(.needed_by.as_deref()))]
pub struct OpenError {
    /// The file at fault, as the source knows it.
    pub path: PathBuf,
    /// The image that names this file as its backing or data file.
    pub needed_by: Option<PathBuf>,
    /// What is wrong.
    pub fault: OpenFault,
}

fn referrer(needed_by: Option<&Path>) -> String {
    needed_by.map_or_else(String::new, |image| format!(", which {image:?} depends on"))
}

/// Why an image cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// No such file.
    #[error("it does not exist; put it back, or correct the name that refers to it")]
    Missing,
    /// The name leads out of the source's folder.
    #[error(
        "the name leads out of the source; move the file into the source, and refer to it by a relative path"
    )]
    Outside,
    /// The name leads to another VM's files.
    #[error(
        "the name leads out of the VM's folder, and what a guest writes can look like such a name; move the file into the VM's folder, or, if images of this recovery point are meant to share files with other VMs, state `references = \"source\"` in its point.toml"
    )]
    OutsideVm,
    /// The name is a URL or a block device description, not a path.
    #[error("the reference {0:?} is not a path of a file; only files inside the source are read")]
    NotAPath(String),
    /// A folder, device, socket or pipe.
    #[error("it is not a regular file; only regular files are read")]
    NotAFile,
    /// The operating system refused.
    #[error("the operating system reports: {0}; check permissions and the storage that holds it")]
    Io(Errno),
    /// What the store that the file lies in, if that is no folder, has lost or holds damaged: what, why, and what to do.
    #[error("{0}")]
    Store(String),
    /// That store does not give anything now: why, and what to do.
    #[error("{0}")]
    Unreachable(String),
    /// The kernel cannot confine a lookup to a folder.
    #[error("this kernel has no openat2 system call; run itemlift on Linux 5.6 or later")]
    KernelTooOld,
    /// Nothing in it.
    #[error("the file is empty; the backup or copy that wrote it did not finish")]
    Empty,
    /// The declared or named format is not what the file holds.
    #[error(
        "it does not begin with a {expected} header, it looks like {found}; the file is damaged or of another format: correct `format` in point.toml or the file's extension"
    )]
    NotThisFormat {
        /// What the name, `point.toml` or the image above says.
        expected: Format,
        /// What it looks like.
        found: &'static str,
    },
    /// The content claims a format that the name does not vouch for.
    #[error(
        "its content looks like {content}, its name does not say so, and a raw disk can be made to look like this from inside the VM: state `format = \"raw\"` or the true format for this disk in point.toml{hint}"
    )]
    Ambiguous {
        /// What the content looks like.
        content: String,
        /// What else to do, with a leading separator.
        hint: &'static str,
    },
    /// A known format which is not read.
    #[error("{0} is not supported; convert the image with `qemu-img convert -O qcow2`")]
    Unsupported(String),
    /// A snapshot that keeps to itself what it is based on.
    #[error(
        "it is a snapshot which VirtualBox made, and does not name what it is based on; make a whole disk of both with `VBoxManage clonemedium`"
    )]
    NamesNoParent,
    /// The image is encrypted.
    #[error(
        "the image is encrypted, which is not supported; decrypt a copy with what encrypted it: `qemu-img convert` for qcow2, vSphere for VMDK"
    )]
    Encrypted,
    /// A header or table does not hold together.
    #[error("{0}; the file is damaged or incomplete: restore it from a good copy")]
    Damaged(String),
    /// An image depends on itself.
    #[error(
        "its chain of backing files comes back to itself; correct it with `qemu-img rebase -u`"
    )]
    Loop,
    /// The image keeps no such state.
    #[error("it has no internal snapshot {0:?} any more; choose another recovery point")]
    NoSnapshot(String),
    /// A parent of the right name which is not the one that the image was made on.
    #[error(
        "it is not the file that the image above was made on, or it was written to since (wanted {wanted}, found {found}); put the right one in its place"
    )]
    OtherParent {
        /// What the image above remembers.
        wanted: String,
        /// What the file has.
        found: String,
    },
    /// Two statements about the disk's sectors.
    #[error(
        "point.toml states sectors of {stated} bytes, the image has sectors of {image} bytes; remove `sector_size` for this disk from point.toml"
    )]
    OtherSectors {
        /// Bytes in a sector as `point.toml` has it.
        stated: u32,
        /// Bytes in a sector as the image has it.
        image: u32,
    },
    /// Too many backing files.
    #[error(
        "its chain has more than {limit} files; shorten it with `qemu-img commit` or `qemu-img convert`"
    )]
    ChainTooLong {
        /// The limit.
        limit: usize,
    },
    /// One disk of too many files.
    #[error(
        "its disk consists of more than {limit} files; join them with `qemu-img convert`, or shorten the chain with `qemu-img commit`"
    )]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// All disks that are open have too many files.
    #[error(
        "so many image files are open that no more are opened for this disk; close sessions that nobody needs, or allow the server more open files with `LimitNOFILE=` in a systemd unit or `ulimit -n`"
    )]
    NoFilesLeft,
    /// One disk would keep too much in memory.
    #[error(
        "more than {limit} bytes would stay in memory to read its disk; write it anew with `qemu-img convert`"
    )]
    TooMuchMemory {
        /// The limit.
        limit: usize,
    },
    /// All disks that are open keep too much in memory.
    #[error(
        "disks that are open keep {used} bytes in memory besides the cache, too many to open this one; close sessions that nobody needs"
    )]
    NoMemoryLeft {
        /// What they keep.
        used: usize,
    },
    /// The disk has no whole number of sectors.
    #[error(
        "its size, {size} bytes, is not a multiple of the {sector_size}-byte sector; the copy may be incomplete, or `sector_size` in point.toml is wrong"
    )]
    OddSize {
        /// Bytes in the disk.
        size: u64,
        /// Bytes in a sector.
        sector_size: u32,
    },
    /// The disk is larger than itemlift serves.
    #[error("its size, {size} bytes, is over the limit of 64 TiB")]
    TooLarge {
        /// Bytes in the disk.
        size: u64,
    },
}

impl OpenFault {
    /// Whether the file was damaged or lost in part: that does not pass, and other files may be as they should. Everything else
    /// passes, or the operator can do something about it.
    pub fn is_damage(&self) -> bool {
        match self {
            OpenFault::Store(_)
            | OpenFault::Damaged(_)
            | OpenFault::Empty
            | OpenFault::NotThisFormat { .. }
            | OpenFault::OtherParent { .. }
            | OpenFault::OddSize { .. } => true,
            // What a drive says of a bad sector; the others are about storage that is away, or permissions.
            OpenFault::Io(errno) => *errno == Errno::IO,
            OpenFault::Unreachable(_)
            | OpenFault::Missing
            | OpenFault::Outside
            | OpenFault::OutsideVm
            | OpenFault::NotAPath(_)
            | OpenFault::NotAFile
            | OpenFault::KernelTooOld
            | OpenFault::Ambiguous { .. }
            | OpenFault::Unsupported(_)
            | OpenFault::NamesNoParent
            | OpenFault::Encrypted
            | OpenFault::Loop
            | OpenFault::NoSnapshot(_)
            | OpenFault::OtherSectors { .. }
            | OpenFault::ChainTooLong { .. }
            | OpenFault::TooManyFiles { .. }
            | OpenFault::NoFilesLeft
            | OpenFault::TooMuchMemory { .. }
            | OpenFault::NoMemoryLeft { .. }
            | OpenFault::TooLarge { .. } => false,
        }
    }
}
