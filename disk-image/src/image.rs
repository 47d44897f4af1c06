//! One image of a chain, whichever its format.

use crate::disk::{Found, Wait};
use crate::format::Format;
use crate::qcow2::Qcow2;
use crate::raw::Raw;
use crate::store::{Fault, ImageFile};

/// One open image.
#[derive(Debug)]
pub(super) enum Image {
    Raw(Raw),
    Qcow2(Box<Qcow2>),
}

impl Image {
    /// The file that names it.
    pub(super) fn file(&self) -> &dyn ImageFile {
        match self {
            Image::Raw(raw) => raw.file(),
            Image::Qcow2(qcow2) => qcow2.file(),
        }
    }

    /// The file that holds its data, if that is another.
    pub(super) fn data_file(&self) -> Option<&dyn ImageFile> {
        match self {
            Image::Raw(_) => None,
            Image::Qcow2(qcow2) => qcow2.data_file(),
        }
    }

    /// Bytes in the disk that it describes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Image::Raw(raw) => raw.size(),
            Image::Qcow2(qcow2) => qcow2.size(),
        }
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Image::Raw(_) => Format::Raw,
            Image::Qcow2(_) => Format::Qcow2,
        }
    }

    /// Reads the start of a range. Beyond the image's end a larger disk on top of it has zeros,
    /// whatever lies below.
    pub(super) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        wait: Wait,
    ) -> Result<Found, Fault> {
        let inside = self.size().saturating_sub(offset);
        if inside == 0 {
            buf.fill(0);
            return Ok(Found::Filled(buf.len()));
        }
        let length = usize::try_from(inside).map_or(buf.len(), |inside| inside.min(buf.len()));
        let buf = buf.get_mut(..length).unwrap_or_default();
        match self {
            Image::Raw(raw) => raw.read_some(offset, buf, wait),
            Image::Qcow2(qcow2) => qcow2.read_some(offset, buf, wait),
        }
    }
}
