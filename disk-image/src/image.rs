//! One image of a chain, whichever its format.

use crate::check::Flaws;
use crate::disk::{Found, Lost, Wait, shorter};
use crate::format::Format;
use crate::qcow2::Qcow2;
use crate::raw::Raw;
use crate::store::{Fault, ImageFile};
use crate::vhd::{self, Vhd};
use crate::vhdx::Vhdx;
use crate::vmdk::{self, Vmdk};

/// One open image.
#[derive(Debug)]
pub(super) enum Image {
    Raw(Raw),
    Qcow2(Box<Qcow2>),
    Vhd(Box<Vhd>),
    Vhdx(Box<Vhdx>),
    Vmdk(Box<Vmdk>),
}

impl Image {
    /// The file that names it.
    pub(super) fn file(&self) -> &dyn ImageFile {
        match self {
            Image::Raw(raw) => raw.file(),
            Image::Qcow2(qcow2) => qcow2.file(),
            Image::Vhd(vhd) => vhd.file(),
            Image::Vhdx(vhdx) => vhdx.file(),
            Image::Vmdk(vmdk) => vmdk.file(),
        }
    }

    /// The files that hold its data, if those are others.
    pub(super) fn data_files(&self) -> impl Iterator<Item = &dyn ImageFile> {
        let (one, many) = match self {
            Image::Raw(_) | Image::Vhd(_) | Image::Vhdx(_) => (None, None),
            Image::Qcow2(qcow2) => (qcow2.data_file(), None),
            Image::Vmdk(vmdk) => (None, Some(vmdk.data_files())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// See [`Disk::gains_by_reading_ahead`](crate::Disk::gains_by_reading_ahead).
    pub(super) fn gains_by_reading_ahead(&self) -> bool {
        let decodes = match self {
            Image::Raw(_) | Image::Vhd(_) | Image::Vhdx(_) => false,
            Image::Qcow2(qcow2) => qcow2.decodes(),
            Image::Vmdk(vmdk) => vmdk.decodes(),
        };
        decodes
            || self.file().gains_by_reading_ahead()
            || self.data_files().any(|file| file.gains_by_reading_ahead())
    }

    /// Bytes in a logical sector, if the image says so, or those that it is based on do.
    pub(super) fn sector_size(&self, below: &[Image]) -> Option<u32> {
        match self {
            Image::Raw(_) | Image::Qcow2(_) => None,
            Image::Vhd(_) => Some(vhd::SECTOR_BYTES),
            Image::Vhdx(vhdx) => Some(vhdx.sector_bytes()),
            Image::Vmdk(vmdk) => vmdk.sector_bytes().or_else(|| match below.split_first() {
                Some((parent, below)) => parent.sector_size(below),
                None => Some(vmdk::SECTOR_BYTES),
            }),
        }
    }

    /// Bytes in the disk that it describes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Image::Raw(raw) => raw.size(),
            Image::Qcow2(qcow2) => qcow2.size(),
            Image::Vhd(vhd) => vhd.size(),
            Image::Vhdx(vhdx) => vhdx.size(),
            Image::Vmdk(vmdk) => vmdk.size(),
        }
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Image::Raw(_) => Format::Raw,
            Image::Qcow2(_) => Format::Qcow2,
            Image::Vhd(_) => Format::Vhd,
            Image::Vhdx(_) => Format::Vhdx,
            Image::Vmdk(_) => Format::Vmdk,
        }
    }

    /// Tells what is not as it must be, though no read meets it.
    pub(super) fn check(&self, flaws: &mut Flaws<'_>) {
        match self {
            // Nothing in it but the disk's bytes.
            Image::Raw(_) => {}
            Image::Qcow2(qcow2) => qcow2.check(flaws),
            Image::Vhd(vhd) => vhd.check(flaws),
            Image::Vhdx(vhdx) => vhdx.check(flaws),
            Image::Vmdk(vmdk) => vmdk.check(flaws),
        }
    }

    /// What is lost together with the byte at `offset`, which cannot be read; `reach` is as far as anybody wants to know.
    pub(super) fn lost_at(&self, offset: u64, reach: u64) -> Lost {
        match self {
            Image::Raw(raw) => Lost::Together(raw.lost_together_at(offset)),
            Image::Qcow2(qcow2) => qcow2.lost_at(offset, reach),
            // Not known of these; what is below them is.
            Image::Vhd(_) | Image::Vhdx(_) | Image::Vmdk(_) => {
                match self.read_some(offset, &mut [0], reach, Wait::Allowed) {
                    Ok(Found::Below(bytes)) => Lost::Below(bytes),
                    Ok(Found::Filled(_)) | Err(_) => Lost::Together(0),
                }
            }
        }
    }

    /// Fills the start of `buf`, which is not empty, or says that it is below, and for how long: `reach`
    /// bytes, which are no fewer than `buf` has, are as far as anybody wants to know. What is wrong
    /// behind the bytes that the answer is about is nobody's concern. Beyond the image's end a larger
    /// disk on top of it has zeros, whatever lies below.
    pub(super) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let inside = self.size().saturating_sub(offset);
        if inside == 0 {
            buf.fill(0);
            return Ok(Found::Filled(buf.len()));
        }
        let length = shorter(buf.len(), inside);
        let reach = reach.min(inside);
        let buf = buf.get_mut(..length).unwrap_or_default();
        let found = match self {
            Image::Raw(raw) => raw.read_some(offset, buf, wait),
            Image::Qcow2(qcow2) => qcow2.read_some(offset, buf, reach, wait),
            Image::Vhd(vhd) => vhd.read_some(offset, buf, reach, wait),
            Image::Vhdx(vhdx) => vhdx.read_some(offset, buf, reach, wait),
            Image::Vmdk(vmdk) => vmdk.read_some(offset, buf, reach, wait),
        };
        match found? {
            Found::Below(length) => Ok(Found::Below(length.min(reach))),
            filled => Ok(filled),
        }
    }
}
