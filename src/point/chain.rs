//! Opening a disk: its image, and every image that it is based on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Cache;
use super::disk::{Disk, DiskInfo};
use super::error::{OpenError, OpenFault};
use super::file::ImageFile;
use super::folder::Folder;
use super::format::{self, Decision, Format, PROBE_BYTES};
use super::image::Image;
use super::qcow2::{self, Header, Qcow2};
use super::raw::Raw;
use super::recovery_point::DiskSource;

/// Images in one chain, at most. Every one costs an open file and its tables.
const MAX_CHAIN: usize = 256;

/// Bytes in a disk, at most (SPEC §2).
const MAX_DISK_BYTES: u64 = 64 << 40;

/// Where names are looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The source's folder.
    pub(super) root: &'a Folder,
    /// Its path, as configured.
    pub(super) path: &'a Path,
    pub(super) cache: &'a Arc<Cache>,
}

/// An image that is yet to be opened.
#[derive(Debug)]
struct Reference {
    /// Relative to the source.
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

/// Opens a disk and its chain. Nothing that lies outside the source is opened.
pub(super) fn open(place: Place<'_>, disk: &DiskSource) -> Result<Disk, OpenError> {
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
            .any(|above| above.file().is_same(image.file()))
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
    let header = read_header(&file, decision).map_err(explain)?;
    let data = match &header.data_file {
        Some(name) => Some(open_data(place, &file, name)?),
        None => None,
    };
    let below = match &header.backing {
        Some(backing) => Some(Reference {
            path: resolve(place, &file, &backing.name).map_err(explain)?,
            needed_by: Some(reference.path.clone()),
            declared: Declared::ByImage(backing.format.clone()),
        }),
        None => None,
    };
    let image = Qcow2::open(file, header, data, place.cache).map_err(explain)?;
    Ok((Image::Qcow2(Box::new(image)), below))
}

fn open_file(place: Place<'_>, reference: &Reference) -> Result<(ImageFile, Decision), OpenFault> {
    let file = ImageFile::open(place.root, &reference.path)?;
    let head = file.read_start(PROBE_BYTES)?;
    let decision = match &reference.declared {
        Declared::ByPoint(_) if head.is_empty() => return Err(OpenFault::Empty),
        Declared::ByPoint(format) => format::decide(*format, &reference.path, &head)?,
        Declared::ByImage(format) => format::decide_backing(format.as_deref(), &head)?,
    };
    Ok((file, decision))
}

fn read_header(file: &ImageFile, decision: Decision) -> Result<Header, OpenFault> {
    let header = qcow2::read_header(file)?;
    if !decision.may_refer && (header.backing.is_some() || header.data_file.is_some()) {
        return Err(OpenFault::Ambiguous {
            content: "a qcow2 image that depends on another file",
            hint: "",
        });
    }
    Ok(header)
}

fn open_data(place: Place<'_>, image: &ImageFile, name: &str) -> Result<ImageFile, OpenError> {
    let explain = |fault| OpenError {
        path: name.into(),
        needed_by: Some(image.path().to_path_buf()),
        fault,
    };
    let path = resolve(place, image, name).map_err(explain)?;
    let file = ImageFile::open(place.root, &path).map_err(explain)?;
    if file.is_same(image) {
        Err(explain(OpenFault::Loop))
    } else {
        Ok(file)
    }
}

/// The path, relative to the source, of a name that an image refers to: relative to the image's
/// own folder, or absolute and beneath the source's. The lookup itself does not leave the source.
fn resolve(place: Place<'_>, image: &ImageFile, name: &str) -> Result<PathBuf, OpenFault> {
    // QEMU takes whatever stands before a colon in the first part for a protocol.
    let has_protocol = name
        .find([':', '/'])
        .is_some_and(|at| name.get(at..).is_some_and(|rest| rest.starts_with(':')));
    if has_protocol || name.is_empty() {
        return Err(OpenFault::NotAPath(name.to_owned()));
    }
    let name = Path::new(name);
    if name.is_absolute() {
        return name
            .strip_prefix(place.path)
            .map(Path::to_owned)
            .map_err(|_| OpenFault::Outside);
    }
    Ok(image.path().parent().unwrap_or(Path::new("")).join(name))
}

/// Whether a disk's file serves as part of another disk among those that opened.
pub(super) fn is_part_of_another(
    root: &Folder,
    disk: &DiskSource,
    opened: &[Result<Disk, OpenError>],
) -> bool {
    let Ok((_, stamp)) = root.regular_file(&disk.path) else {
        return false;
    };
    let is_it = |file: &ImageFile| file.is_file(&stamp);
    opened.iter().flatten().any(|other| {
        let below = other
            .layers()
            .iter()
            .skip(1)
            .any(|image| is_it(image.file()));
        below
            || other
                .layers()
                .iter()
                .filter_map(Image::data_file)
                .any(is_it)
    })
}
