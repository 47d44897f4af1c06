//! VMDK, for reading: what hosted products and ESX write, in one file or in many.
//!
//! A descriptor, in a file of its own or inside the one sparse file, lists the extents: flat, of
//! zeros, or of grains. It also names the image below.
//!
//! Source: VMware "Virtual Disk Format", version 5.0.

mod check;
mod cowd;
mod descriptor;
mod extents;
mod grains;
mod hosted;
mod sesparse;
mod sparse;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::descriptor::{Descriptor, ExtentKind, ExtentLine, MAX_DESCRIPTOR_BYTES, ParentLine};
pub(crate) use self::extents::Parts;
use self::extents::{Data, Extent};
use self::sparse::{SECTOR, Sparse};
use crate::cache::Cache;
use crate::disk::{Found, Wait, shorter};
use crate::error::{OpenError, OpenFault};
use crate::field::damaged;
use crate::parent::{Identity, Parent, windows_names};
use crate::store::{Fault, ImageFile};

/// Bytes in a logical sector where no descriptor says otherwise.
pub(crate) const SECTOR_BYTES: u32 = 512;

/// How files that belong to a VMDK begin.
pub(crate) const SIGNATURES: [&[u8]; 4] = [
    descriptor::SIGNATURE,
    hosted::MAGIC,
    cowd::MAGIC,
    sesparse::MAGIC,
];

/// Whether a file is a flat extent by its name, `disk-flat.vmdk` or `disk-f001.vmdk`: it holds
/// what the guest wrote, from the first byte on, so that its content says nothing of its format.
pub(crate) fn is_flat_extent(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let last = name
        .strip_suffix(".vmdk")
        .and_then(|stem| stem.rsplit_once('-'));
    last.is_some_and(|(_, last)| {
        let number = last.strip_prefix('f').filter(|number| !number.is_empty());
        last == "flat" || number.is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// An open VMDK image.
#[derive(Debug)]
pub(crate) struct Vmdk {
    /// The file with the descriptor.
    file: Box<dyn ImageFile>,
    size: u64,
    content_id: u32,
    sector_bytes: Option<u32>,
    /// In the disk's order, without gaps.
    extents: Vec<Extent>,
}

/// Opens an image by the file that holds its descriptor; also returns what it is based on.
/// With `may_refer` unset it is refused if it consists of more than this file.
pub(crate) fn open(
    file: Box<dyn ImageFile>,
    cache: &Arc<Cache>,
    may_refer: bool,
    parts: Parts<'_>,
) -> Result<(Vmdk, Option<Parent>), OpenError> {
    let own = |fault| OpenError {
        path: file.path().to_path_buf(),
        needed_by: None,
        fault,
    };
    let head = file
        .read_start(descriptor::SIGNATURE.len() as u64)
        .map_err(own)?;
    let (descriptor, size, extents) = if head.starts_with(descriptor::SIGNATURE) {
        if !may_refer {
            return Err(own(OpenFault::Ambiguous {
                content: "a VMDK descriptor that names other files".to_owned(),
                hint: "",
            }));
        }
        let descriptor = read_descriptor(&*file, 0, file.size()).map_err(own)?;
        let (size, extents) = extents::open(&*file, &descriptor.extents, cache, parts)?;
        (descriptor, size, extents)
    } else {
        let (descriptor, extent) = open_monolithic(&*file, cache).map_err(own)?;
        (descriptor, extent.end, vec![extent])
    };
    let parent = descriptor.parent.map(parent);
    let vmdk = Vmdk {
        size,
        content_id: descriptor.content_id,
        sector_bytes: descriptor.sector_bytes,
        extents,
        file,
    };
    Ok((vmdk, parent))
}

/// One file with its descriptor inside. Names in it are those of when it was made: the one extent
/// is this file.
fn open_monolithic(
    file: &dyn ImageFile,
    cache: &Arc<Cache>,
) -> Result<(Descriptor, Extent), OpenFault> {
    let part = || {
        OpenFault::Unsupported(
            "a part of a VMDK without its descriptor (the smaller file that names this one)"
                .to_owned(),
        )
    };
    if !file.read_start(4)?.starts_with(hosted::MAGIC) {
        return Err(part());
    }
    let (sparse, embedded) = hosted::open(file, cache)?;
    // One of several extents has no descriptor, or room for one.
    let embedded = embedded.ok_or_else(part)?;
    if file.read_within(embedded.at, 1)?.first() == Some(&0) {
        return Err(part());
    }
    let descriptor = read_descriptor(file, embedded.at, embedded.bytes)?;
    let line = match descriptor.extents.as_slice() {
        [only] if only.kind == ExtentKind::Hosted => only,
        _ => {
            return Err(OpenFault::Unsupported(
                "a VMDK that has its descriptor in one of several extents".to_owned(),
            ));
        }
    };
    let extent = Extent {
        start: 0,
        end: only_extent_bytes(line, &sparse)?,
        file: None,
        data: Data::Sparse(sparse),
    };
    Ok((descriptor, extent))
}

/// Bytes of a disk in its only extent. The header may have them rounded up to whole grains: VirtualBox writes it so, and has
/// the disk's size in the descriptor. Where they differ by more, which of the two is right nobody knows.
fn only_extent_bytes(line: &ExtentLine, sparse: &Sparse) -> Result<u64, OpenFault> {
    let bytes = line.sectors.checked_mul(SECTOR);
    let is_it = |bytes: &u64| {
        let beyond = sparse.capacity.checked_sub(*bytes);
        beyond.is_some_and(|beyond| beyond < sparse.grain_bytes)
    };
    bytes.filter(is_it).ok_or_else(|| {
        damaged(format!(
            "the VMDK has {} bytes by its header and {} sectors by its descriptor",
            sparse.capacity, line.sectors
        ))
    })
}

fn read_descriptor(file: &dyn ImageFile, at: u64, bytes: u64) -> Result<Descriptor, OpenFault> {
    if bytes > MAX_DESCRIPTOR_BYTES {
        return Err(damaged(format!(
            "the VMDK descriptor's {bytes} bytes are over the limit of {MAX_DESCRIPTOR_BYTES}"
        )));
    }
    Descriptor::parse(&file.read_within(at, bytes)?)
}

fn parent(line: ParentLine) -> Parent {
    let absolute = Some(PathBuf::from(&line.name)).filter(|name| name.is_absolute());
    Parent {
        names: absolute
            .into_iter()
            .chain(windows_names(&[line.name]))
            .collect(),
        identity: Identity::ContentId(line.content_id),
    }
}

impl Vmdk {
    /// The file that names the image.
    pub(crate) fn file(&self) -> &dyn ImageFile {
        &*self.file
    }

    /// The other files that it consists of.
    pub(crate) fn data_files(&self) -> impl Iterator<Item = &dyn ImageFile> {
        self.extents
            .iter()
            .filter_map(|extent| extent.file.as_deref())
    }

    /// Whether it has compressed grains among what was read so far.
    pub(crate) fn decodes(&self) -> bool {
        let decodes = |extent: &Extent| match &extent.data {
            Data::Sparse(sparse) => sparse.pieces.decodes(),
            Data::Zero | Data::Flat(_) => false,
        };
        self.extents.iter().any(decodes)
    }

    /// Bytes in the disk.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes in a logical sector, if its descriptor says so. Those of deltas need not.
    pub(crate) fn sector_bytes(&self) -> Option<u32> {
        self.sector_bytes
    }

    /// What a child remembers of it.
    pub(crate) fn content_id(&self) -> u32 {
        self.content_id
    }

    /// As [`Image::read_some`](crate::image::Image::read_some), for a range inside the disk. Goes as far
    /// as bytes of one origin stand in a row, at most to the end of an extent.
    pub(crate) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let index = self.extents.partition_point(|extent| extent.end <= offset);
        let Some(extent) = self.extents.get(index) else {
            return Ok(Found::Below(reach));
        };
        let inside = extent.end - offset;
        let length = shorter(buf.len(), inside);
        let part = buf.get_mut(..length).unwrap_or_default();
        let file = extent.file.as_deref().unwrap_or(&*self.file);
        let within = offset - extent.start;
        match &extent.data {
            Data::Zero => part.fill(0),
            Data::Flat(at) => file.read_exact_at(at + within, part, wait)?,
            Data::Sparse(sparse) => {
                let found = sparse.read_some(file, within, part, reach.min(inside), wait)?;
                return Ok(match found {
                    // The extent may end within a grain, or a table; the next one has bytes of its own.
                    Found::Below(run) => Found::Below(run.min(inside)),
                    filled => filled,
                });
            }
        }
        Ok(Found::Filled(length))
    }
}
