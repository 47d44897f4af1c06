//! Opening a disk: its image, and every image that it is based on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::Cache;
use crate::disk::{Disk, DiskFile, DiskInfo};
use crate::error::{OpenError, OpenFault};
use crate::format::{self, Decision, Format, PROBE_BYTES};
use crate::image::Image;
use crate::qcow2::{self, Header, Qcow2};
use crate::raw::Raw;
use crate::store::{ImageFile, Store};

/// Images in one chain, at most. Every one costs an open file and its tables.
const MAX_CHAIN: usize = 256;

/// Bytes in a disk, at most (SPEC §2).
const MAX_DISK_BYTES: u64 = 64 << 40;

/// Where names are looked up, and what readers share.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    store: &'a dyn Store,
    cache: &'a Arc<Cache>,
}

/// An image that is yet to be opened.
#[derive(Debug)]
struct Reference {
    /// Relative to the store.
    path: PathBuf,
    /// The image above it; `None` for the disk's own.
    needed_by: Option<PathBuf>,
    /// What is declared: by `point.toml` for the disk's own image, else by the image above.
    declared: Declared,
}

#[derive(Debug)]
enum Declared {
    ByPoint(Option<Format>),
    ByImage(Option<String>),
}

/// Opens a disk and its chain. Nothing that lies outside the store is opened.
pub(crate) fn open(
    store: &dyn Store,
    disk: &DiskFile,
    cache: &Arc<Cache>,
) -> Result<Disk, OpenError> {
    let place = Place { store, cache };
    let own = Reference {
        path: disk.path.clone(),
        needed_by: None,
        declared: Declared::ByPoint(disk.format),
    };
    let (top, mut next) = open_image(place, own)?;
    let info = DiskInfo {
        name: disk.name.clone(),
        size: top.size(),
        sector_size: disk.sector_size,
        format: top.format(),
    };
    check_size(&info).map_err(|fault| OpenError {
        path: disk.path.clone(),
        needed_by: None,
        fault,
    })?;
    let mut layers = vec![top];
    while let Some(reference) = next {
        let at_fault = (reference.path.clone(), reference.needed_by.clone());
        let (image, below) = open_image(place, reference)?;
        let fault = if layers
            .iter()
            .any(|above| above.file().id() == image.file().id())
        {
            Some(OpenFault::Loop)
        } else {
            (layers.len() >= MAX_CHAIN).then_some(OpenFault::ChainTooLong { limit: MAX_CHAIN })
        };
        if let Some(fault) = fault {
            return Err(OpenError {
                path: at_fault.0,
                needed_by: at_fault.1,
                fault,
            });
        }
        layers.push(image);
        next = below;
    }
    Ok(Disk::new(info, layers))
}

fn check_size(info: &DiskInfo) -> Result<(), OpenFault> {
    match info.size {
        0 => Err(OpenFault::Empty),
        size if size > MAX_DISK_BYTES => Err(OpenFault::TooLarge { size }),
        size if !size.is_multiple_of(info.sector_size.into()) => Err(OpenFault::OddSize {
            size,
            sector_size: info.sector_size,
        }),
        _ => Ok(()),
    }
}

/// Opens one image; also returns what it is based on.
fn open_image(
    place: Place<'_>,
    reference: Reference,
) -> Result<(Image, Option<Reference>), OpenError> {
    let explain = |fault| OpenError {
        path: reference.path.clone(),
        needed_by: reference.needed_by.clone(),
        fault,
    };
    let (file, decision) = open_file(place, &reference).map_err(explain)?;
    if decision.format == Format::Raw {
        return Ok((Image::Raw(Raw::new(file)), None));
    }
    let header = read_header(&*file, decision).map_err(explain)?;
    let data = match &header.data_file {
        Some(name) => Some(open_data(place, &*file, name)?),
        None => None,
    };
    let below = match &header.backing {
        Some(backing) => Some(Reference {
            path: resolve(place.store, &*file, &backing.name).map_err(explain)?,
            needed_by: Some(reference.path.clone()),
            declared: Declared::ByImage(backing.format.clone()),
        }),
        None => None,
    };
    let image = Qcow2::open(file, header, data, place.cache).map_err(explain)?;
    Ok((Image::Qcow2(Box::new(image)), below))
}

fn open_file(
    place: Place<'_>,
    reference: &Reference,
) -> Result<(Box<dyn ImageFile>, Decision), OpenFault> {
    let file = place.store.open(&reference.path)?;
    let head = file.read_start(PROBE_BYTES)?;
    let decision = match &reference.declared {
        Declared::ByPoint(_) if head.is_empty() => return Err(OpenFault::Empty),
        Declared::ByPoint(format) => format::decide(*format, &reference.path, &head)?,
        Declared::ByImage(format) => format::decide_backing(format.as_deref(), &head)?,
    };
    Ok((file, decision))
}

fn read_header(file: &dyn ImageFile, decision: Decision) -> Result<Header, OpenFault> {
    let header = qcow2::read_header(file)?;
    if !decision.may_refer && (header.backing.is_some() || header.data_file.is_some()) {
        return Err(OpenFault::Ambiguous {
            content: "a qcow2 image that depends on another file",
            hint: "",
        });
    }
    Ok(header)
}

fn open_data(
    place: Place<'_>,
    image: &dyn ImageFile,
    name: &str,
) -> Result<Box<dyn ImageFile>, OpenError> {
    let explain = |fault| OpenError {
        path: name.into(),
        needed_by: Some(image.path().to_path_buf()),
        fault,
    };
    let path = resolve(place.store, image, name).map_err(explain)?;
    let file = place.store.open(&path).map_err(explain)?;
    if file.id() == image.id() {
        Err(explain(OpenFault::Loop))
    } else {
        Ok(file)
    }
}

/// The path, relative to the store, of a name that an image refers to: relative to the image's
/// own folder, or absolute and beneath the store's. The lookup itself does not leave the store.
fn resolve(store: &dyn Store, image: &dyn ImageFile, name: &str) -> Result<PathBuf, OpenFault> {
    // QEMU takes whatever stands before a colon in the first part for a protocol.
    let has_protocol = name
        .find([':', '/'])
        .is_some_and(|at| name.get(at..).is_some_and(|rest| rest.starts_with(':')));
    if has_protocol || name.is_empty() {
        return Err(OpenFault::NotAPath(name.to_owned()));
    }
    let name = Path::new(name);
    if name.is_absolute() {
        return store.relative(name).ok_or(OpenFault::Outside);
    }
    Ok(image.path().parent().unwrap_or(Path::new("")).join(name))
}
