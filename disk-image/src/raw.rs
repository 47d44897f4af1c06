//! A raw image: byte *n* of the file is byte *n* of the disk. Holes are the file system's business.

use crate::disk::{Found, Wait};
use crate::store::{Fault, ImageFile};

/// An open raw image.
#[derive(Debug)]
pub(super) struct Raw {
    file: Box<dyn ImageFile>,
}

impl Raw {
    pub(super) fn new(file: Box<dyn ImageFile>) -> Raw {
        Raw { file }
    }

    pub(super) fn file(&self) -> &dyn ImageFile {
        &*self.file
    }

    /// Bytes in the disk.
    pub(super) fn size(&self) -> u64 {
        self.file.size()
    }

    /// As [`Image::read_some`](crate::image::Image::read_some), for a range inside the image. Nothing is below.
    pub(super) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        wait: Wait,
    ) -> Result<Found, Fault> {
        self.file.read_exact_at(offset, buf, wait)?;
        Ok(Found::Filled(buf.len()))
    }

    /// How many bytes from `offset` on are known to be zeros without reading them.
    pub(super) fn hole_at(&self, offset: u64) -> u64 {
        self.file.hole_at(offset)
    }

    /// How many bytes from `offset` on are lost where one of them is.
    pub(super) fn lost_together_at(&self, offset: u64) -> u64 {
        self.file.lost_together_at(offset)
    }
}
