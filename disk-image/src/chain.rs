//! Opening a disk: its image, and every image that it is based on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::budget::Held;
use crate::cache::Cache;
use crate::disk::{DEFAULT_SECTOR_BYTES, Disk, DiskFile, DiskInfo};
use crate::error::{OpenError, OpenFault};
use crate::format::{self, Decision, Format, PROBE_BYTES};
use crate::image::Image;
use crate::parent::{Identity, Parent};
use crate::place::Place;
use crate::qcow2::{self, Header, Qcow2, Snapshot};
use crate::raw::Raw;
use crate::store::{ImageFile, Store};
use crate::{vhd, vhdx, vmdk};

/// Images in one chain, at most. Every one costs an open file and its tables.
const MAX_CHAIN: usize = 256;

/// Bytes in a disk, at most (SPEC §2).
const MAX_DISK_BYTES: u64 = 64 << 40;

/// An image that is yet to be opened.
#[derive(Debug)]
struct Reference {
    /// Relative to the store: the first one that is there is meant.
    paths: Vec<PathBuf>,
    /// The image above it; `None` for the disk's own.
    needed_by: Option<PathBuf>,
    /// What is declared: by `point.toml` for the disk's own image, else by the image above.
    declared: Declared,
    /// What the image above remembers of it.
    identity: Option<Identity>,
    /// The state that is meant, if not the current one.
    snapshot: Option<String>,
}

#[derive(Debug)]
enum Declared {
    ByPoint(Option<Format>),
    /// In the words of a qcow2 image.
    ByImage(Option<String>),
    /// Formats whose parents are of the same format.
    AsChild(Format),
}

/// The states that a disk's own image keeps inside itself.
pub(crate) fn snapshots(store: &dyn Store, disk: &DiskFile) -> Result<Vec<Snapshot>, OpenError> {
    let own = Reference::own(disk);
    let read = || {
        let file = store.open(&disk.path)?;
        let decision = decide(&own, &*file)?;
        match decision.format {
            Format::Qcow2 => qcow2::read_snapshots(&*file, &qcow2::read_header(&*file)?),
            Format::Raw | Format::Vhd | Format::Vhdx | Format::Vmdk => Ok(Vec::new()),
        }
    };
    read().map_err(|fault| own.explain(fault))
}

/// Opens a disk and its chain. Nothing that lies outside the store is opened.
pub(crate) fn open(
    store: &dyn Store,
    disk: &DiskFile,
    cache: &Arc<Cache>,
) -> Result<Disk, OpenError> {
    let held = Held::new();
    let place = Place {
        store,
        references: &disk.references,
        cache,
        held: &held,
    };
    let own = Reference::own(disk);
    let (top, mut next) = open_image(place, &own)?;
    let mut layers = vec![top];
    while let Some(reference) = next {
        let (image, below) = open_image(place, &reference)?;
        let is_loop = layers
            .iter()
            .any(|above| above.file().id() == image.file().id());
        if is_loop {
            return Err(reference.explain(OpenFault::Loop));
        }
        if layers.len() >= MAX_CHAIN {
            return Err(reference.explain(OpenFault::ChainTooLong { limit: MAX_CHAIN }));
        }
        layers.push(image);
        next = below;
    }
    let info = describe(disk, &layers).map_err(|fault| own.explain(fault))?;
    Ok(Disk::new(info, layers, held))
}

impl Reference {
    /// A disk's own image.
    fn own(disk: &DiskFile) -> Reference {
        Reference {
            paths: vec![disk.path.clone()],
            needed_by: None,
            declared: Declared::ByPoint(disk.format),
            identity: None,
            snapshot: disk.snapshot.clone(),
        }
    }

    /// Whether someone other than the guest says that it is raw.
    fn is_said_to_be_raw(&self) -> bool {
        match &self.declared {
            Declared::ByPoint(Some(format)) => *format == Format::Raw,
            Declared::ByPoint(None) => self.paths.iter().all(|path| format::is_name_of_raw(path)),
            Declared::ByImage(format) => format::is_name_for_raw(format.as_deref()),
            Declared::AsChild(_) => false,
        }
    }

    /// What is wrong with the file that is meant.
    fn explain(&self, fault: OpenFault) -> OpenError {
        OpenError {
            path: self.paths.first().cloned().unwrap_or_default(),
            needed_by: self.needed_by.clone(),
            fault,
        }
    }

    /// The same, unless it is a file beside it that is at fault.
    fn explain_own(&self, error: OpenError) -> OpenError {
        match error.needed_by {
            None => self.explain(error.fault),
            Some(_) => error,
        }
    }
}

fn describe(disk: &DiskFile, layers: &[Image]) -> Result<DiskInfo, OpenFault> {
    let (image, below) = layers.split_first().ok_or(OpenFault::Empty)?;
    let sector_size = match (disk.sector_size, image.sector_size(below)) {
        (Some(stated), Some(image)) if stated != image => {
            return Err(OpenFault::OtherSectors { stated, image });
        }
        (stated, image) => stated.or(image).unwrap_or(DEFAULT_SECTOR_BYTES),
    };
    match image.size() {
        0 => Err(OpenFault::Empty),
        size if size > MAX_DISK_BYTES => Err(OpenFault::TooLarge { size }),
        size if !size.is_multiple_of(sector_size.into()) => {
            Err(OpenFault::OddSize { size, sector_size })
        }
        size => Ok(DiskInfo {
            name: disk.name.clone(),
            size,
            sector_size,
            format: image.format(),
        }),
    }
}

/// Opens one image; also returns what it is based on.
fn open_image(
    place: Place<'_>,
    reference: &Reference,
) -> Result<(Image, Option<Reference>), OpenError> {
    let explain = |fault| reference.explain(fault);
    let (file, decision) = open_file(place, reference).map_err(explain)?;
    let path = Arc::clone(file.path());
    if let Some(id) = reference
        .snapshot
        .as_ref()
        .filter(|_| decision.format != Format::Qcow2)
    {
        return Err(explain(OpenFault::NoSnapshot(id.clone())));
    }
    let (image, parent) = match decision.format {
        Format::Raw => (Image::Raw(Raw::new(file)), None),
        Format::Qcow2 => return open_qcow2(place, reference, file, decision),
        Format::Vhd => {
            let (vhd, parent) = vhd::open(file, place.cache).map_err(explain)?;
            (Image::Vhd(Box::new(vhd)), parent)
        }
        Format::Vhdx => {
            let (vhdx, parent) = vhdx::open(file, place.cache, place.held).map_err(explain)?;
            (Image::Vhdx(Box::new(vhdx)), parent)
        }
        Format::Vmdk => {
            let parts = vmdk::Parts {
                open: &|image, name| place.open_beside(image, name),
                held: place.held,
            };
            let opened = vmdk::open(file, place.cache, decision.may_refer, parts);
            let (vmdk, parent) = opened.map_err(|error| reference.explain_own(error))?;
            (Image::Vmdk(Box::new(vmdk)), parent)
        }
    };
    if let Some(identity) = &reference.identity {
        identity.check(&image).map_err(explain)?;
    }
    if parent.is_some() && !decision.may_refer {
        return Err(explain(may_not_refer(decision.format)));
    }
    let below = parent.map(|parent| below(place.store, &path, decision.format, parent));
    Ok((image, below))
}

/// The image below one that names it in its format's way.
fn below(store: &dyn Store, path: &Path, format: Format, parent: Parent) -> Reference {
    let folder = path.parent().unwrap_or(Path::new(""));
    let names = parent.names.iter();
    let paths = names.filter_map(|name| match name.is_absolute() {
        true => store.relative(name),
        false => Some(folder.join(name)),
    });
    Reference {
        paths: paths.collect(),
        needed_by: Some(path.to_owned()),
        declared: Declared::AsChild(format),
        identity: Some(parent.identity),
        snapshot: None,
    }
}

fn open_qcow2(
    place: Place<'_>,
    reference: &Reference,
    file: Box<dyn ImageFile>,
    decision: Decision,
) -> Result<(Image, Option<Reference>), OpenError> {
    let explain = |fault| reference.explain(fault);
    let mut header = read_header(&*file, decision).map_err(explain)?;
    if let Some(id) = &reference.snapshot {
        header = qcow2::header_at(&*file, header, id).map_err(explain)?;
    }
    let data = match &header.data_file {
        Some(name) => Some(place.open_beside(&*file, name)?),
        None => None,
    };
    let below = match &header.backing {
        Some(backing) => Some(Reference {
            paths: vec![place.resolve(&*file, &backing.name).map_err(explain)?],
            needed_by: Some(file.path().to_path_buf()),
            declared: Declared::ByImage(backing.format.clone()),
            identity: None,
            snapshot: None,
        }),
        None => None,
    };
    let image = Qcow2::open(file, header, data, place.cache);
    Ok((Image::Qcow2(Box::new(image)), below))
}

fn open_file(
    place: Place<'_>,
    reference: &Reference,
) -> Result<(Box<dyn ImageFile>, Decision), OpenFault> {
    let file = match &reference.declared {
        // Where that is, nobody but the operator said.
        Declared::ByPoint(_) => place.open_first(&reference.paths, Place::open_own),
        _ => place.open_first(&reference.paths, Place::open_named),
    }?;
    let decision = decide(reference, &*file)?;
    Ok((file, decision))
}

fn decide(reference: &Reference, file: &dyn ImageFile) -> Result<Decision, OpenFault> {
    let head = match file.read_start(PROBE_BYTES) {
        // Bytes that nobody can read claim nothing, and are the disk's own: the others can be had.
        Err(fault) if fault.is_damage() && reference.is_said_to_be_raw() => {
            return Ok(Decision::for_sure(Format::Raw));
        }
        head => head?,
    };
    match &reference.declared {
        Declared::ByPoint(_) if head.is_empty() => Err(OpenFault::Empty),
        Declared::ByPoint(format) => format::decide(*format, file.path(), &head),
        Declared::ByImage(format) => format::decide_backing(format.as_deref(), &head),
        Declared::AsChild(format) => format::decide_parent(*format, &head),
    }
}

fn read_header(file: &dyn ImageFile, decision: Decision) -> Result<Header, OpenFault> {
    let header = qcow2::read_header(file)?;
    if !decision.may_refer && (header.backing.is_some() || header.data_file.is_some()) {
        return Err(may_not_refer(decision.format));
    }
    Ok(header)
}

fn may_not_refer(format: Format) -> OpenFault {
    OpenFault::Ambiguous {
        content: format!("a {format} image that depends on another file"),
        hint: "",
    }
}
