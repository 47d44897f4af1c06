//! A disk of a recovery point: a chain of image files read as one run of bytes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::budget::Held;
use crate::cache::Cache;
use crate::chain;
use crate::check::{Flaw, Flaws};
use crate::descent;
use crate::error::{OpenError, ReadError};
use crate::format::Format;
use crate::image::Image;
use crate::qcow2::Snapshot;
use crate::store::{FileId, Store};

/// One open disk. Reads take no lock that is held during I/O, so any number may run at once.
#[derive(Debug)]
pub struct Disk {
    info: DiskInfo,
    /// The disk's own image first, then what it is based on, down to the oldest.
    layers: Vec<Image>,
    /// What counts against the limits of the process for as long as it is open.
    _held: Held,
}

/// Which file is opened as a disk, and what someone other than the guest says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFile {
    /// Name shown to people.
    pub name: String,
    /// The disk's own image, relative to the store.
    pub path: PathBuf,
    /// Its format, if that is stated.
    pub format: Option<Format>,
    /// Bytes in a logical sector (512, 1024, 2048 or 4096), if that is stated. Some formats say it themselves.
    pub sector_size: Option<u32>,
    /// The internal snapshot of the image that is meant, by its ID; else its current state.
    pub snapshot: Option<String>,
    /// The folder, relative to the store, that files which images name have to lie beneath; an
    /// empty path for the whole store. What an image names may be what its guest wishes.
    pub references: PathBuf,
}

/// Bytes in a logical sector when nobody says otherwise.
pub(super) const DEFAULT_SECTOR_BYTES: u32 = 512;

/// What a disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskInfo {
    /// Name shown to people; unique within the recovery point.
    pub name: String,
    /// Bytes, a multiple of `sector_size`.
    pub size: u64,
    /// Bytes in a logical sector: 512, 1024, 2048 or 4096.
    pub sector_size: u32,
    /// Format of the disk's own image; what it is based on may have another.
    pub format: Format,
}

/// Whether a read may wait for storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Only what is in memory: never blocks, so an async worker may call it. Otherwise
    /// [`ReadError::WouldBlock`].
    Never,
    /// May block and may spend time on decompression: only on a thread made for that.
    Allowed,
    /// As [`Allowed`](Wait::Allowed), and nobody has asked for the bytes yet: what comes into the cache on the way is counted
    /// as read ahead until somebody does.
    Ahead,
}

/// What one image holds at the start of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The first so many bytes were filled in; at least one.
    Filled(usize),
    /// The first so many bytes, at least one, are as the next image in the chain has them.
    Below(u64),
}

/// What is known of bytes from an offset on, when the one there cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// So many are lost together; 0 where that is not known.
    Together(u64),
    /// It is the next image in the chain that has lost them, as far as so many are its own.
    Below(u64),
}

impl Disk {
    /// Opens a disk and its chain. Nothing that lies outside the store is opened, and an image
    /// refers to other files only if someone other than the guest vouched for its format.
    ///
    /// Reads the files' headers and may wait for storage; call it on a thread that may.
    ///
    /// # Errors
    /// [`OpenError`] names the file at fault, why it cannot be used and what to do.
    pub fn open(store: &dyn Store, file: &DiskFile, cache: &Arc<Cache>) -> Result<Disk, OpenError> {
        chain::open(store, file, cache)
    }

    /// The states that a disk's own image keeps inside itself, in the order of its table: none,
    /// unless it is qcow2. Nothing but this one file is opened.
    ///
    /// # Errors
    /// [`OpenError`], as for [`open`](Disk::open).
    pub fn snapshots(store: &dyn Store, file: &DiskFile) -> Result<Vec<Snapshot>, OpenError> {
        chain::snapshots(store, file)
    }

    pub(super) fn new(info: DiskInfo, layers: Vec<Image>, held: Held) -> Disk {
        Disk {
            info,
            layers,
            _held: held,
        }
    }

    /// What this disk is.
    pub fn info(&self) -> &DiskInfo {
        &self.info
    }

    /// Whether it is based on this file, or has its data in it: the file is then part of this
    /// disk, and not only its own image.
    pub fn depends_on(&self, file: FileId) -> bool {
        let below = self.layers.iter().skip(1).map(Image::file);
        let data = self.layers.iter().flat_map(Image::data_files);
        below.chain(data).any(|part| part.id() == file)
    }

    /// Whether a sequential reader gains when what comes next is read with [`Wait::Ahead`]: what was read so far had to be
    /// decoded, or a store says that its files gain by it.
    pub fn gains_by_reading_ahead(&self) -> bool {
        self.layers.iter().any(Image::gains_by_reading_ahead)
    }

    /// Looks at what reads never look at and tells what is damaged there: second copies of headers and tables, refcounts, places
    /// that are used twice. In the images that it is based on, too. Ends early once it is not wanted. Takes as long as reading
    /// all index tables takes, and blocks.
    pub fn check(&self, tell: &mut dyn FnMut(Flaw), is_wanted: &dyn Fn() -> bool) {
        let mut flaws = Flaws::new(tell, is_wanted);
        for image in &self.layers {
            image.check(&mut flaws);
        }
    }

    /// How many bytes from `offset` on are a hole of a raw image, and so zeros that need not be read; 0 where that is not known.
    /// May wait. In the other formats, reads of what is not allocated cost next to nothing.
    pub fn hole_at(&self, offset: u64) -> u64 {
        match self.layers.as_slice() {
            [Image::Raw(raw)] => raw.hole_at(offset),
            _ => 0,
        }
    }

    /// How many bytes from `offset` on are lost, when the one there is: because what an image lies in gives them only together,
    /// or because they stand in one compressed cluster, or are found by one table. 0 where that is not known. May wait.
    pub fn lost_together_at(&self, offset: u64) -> u64 {
        let mut reach = self.info.size.saturating_sub(offset);
        for image in &self.layers {
            match image.lost_at(offset, reach) {
                Lost::Together(bytes) => return bytes.min(reach),
                Lost::Below(bytes) => reach = reach.min(bytes),
            }
        }
        0
    }

    /// Fills `buf` with the bytes at `offset`, all of them or none that may be used.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] with [`Wait::Never`] when something is not in memory; the others
    /// as they say. An error concerns this read alone.
    pub fn read_at(&self, offset: u64, buf: &mut [u8], wait: Wait) -> Result<(), ReadError> {
        let length = buf.len() as u64;
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= self.info.size);
        if end.is_none() {
            return Err(ReadError::OutOfRange {
                offset,
                length,
                size: self.info.size,
            });
        }
        descent::read(&self.layers, offset, buf, wait)
    }
}

/// The shorter of a buffer and a run of the disk.
pub(super) fn shorter(buffer: usize, run: u64) -> usize {
    usize::try_from(run).map_or(buffer, |run| run.min(buffer))
}
