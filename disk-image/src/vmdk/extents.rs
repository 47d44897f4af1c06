//! The extents of an image, in files that its descriptor names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::descriptor::{ExtentKind, ExtentLine};
use super::sparse::{SECTOR, Sparse};
use super::{cowd, hosted, sesparse};
use crate::budget::Held;
use crate::cache::Cache;
use crate::error::{OpenError, OpenFault};
use crate::field::damaged;
use crate::store::{FileId, ImageFile};

/// A part of the disk.
#[derive(Debug)]
pub(super) struct Extent {
    /// First byte of the disk that is in it, and the first behind it.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The file that holds it; `None` if that is the descriptor's.
    pub(super) file: Option<Arc<dyn ImageFile>>,
    pub(super) data: Data,
}

#[derive(Debug)]
pub(super) enum Data {
    Zero,
    /// From this offset of the file on.
    Flat(u64),
    Sparse(Sparse),
}

/// Opens a file that an image names.
type Open<'a> = &'a dyn Fn(&dyn ImageFile, &str) -> Result<Box<dyn ImageFile>, OpenError>;

/// How the files are had that the image names.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// Opens one, which counts as held.
    pub(crate) open: Open<'a>,
    pub(crate) held: &'a Held,
}

/// Opens what the lines of a descriptor say; also tells how many bytes of the disk they describe.
pub(super) fn open(
    image: &dyn ImageFile,
    lines: &[ExtentLine],
    cache: &Arc<Cache>,
    parts: Parts<'_>,
) -> Result<(u64, Vec<Extent>), OpenError> {
    let own = |fault| OpenError {
        path: image.path().to_path_buf(),
        needed_by: None,
        fault,
    };
    let memory = lines.len() * size_of::<Extent>();
    parts.held.take_bytes(memory).map_err(own)?;
    let (mut extents, mut end) = (Vec::with_capacity(lines.len()), 0_u64);
    let mut files = Files::default();
    for line in lines {
        let explain = |fault| OpenError {
            path: line.name.clone().into(),
            needed_by: Some(image.path().to_path_buf()),
            fault,
        };
        let start = end;
        let bytes = line.sectors.checked_mul(SECTOR);
        end = bytes
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or_else(|| explain(damaged("the VMDK extent is too large".to_owned())))?;
        let file = match line.kind {
            ExtentKind::Zero => None,
            _ => Some(files.file(image, &line.name, parts)?),
        };
        let data = open_data(line, file.as_deref(), cache).map_err(explain)?;
        extents.push(Extent {
            start,
            end,
            file,
            data,
        });
    }
    Ok((end, extents))
}

/// The files of an image's extents, each open once whatever names it has.
#[derive(Default)]
struct Files<'a> {
    by_name: HashMap<&'a str, Arc<dyn ImageFile>>,
    by_id: HashMap<FileId, Arc<dyn ImageFile>>,
}

impl<'a> Files<'a> {
    fn file(
        &mut self,
        image: &dyn ImageFile,
        name: &'a str,
        parts: Parts<'_>,
    ) -> Result<Arc<dyn ImageFile>, OpenError> {
        if let Some(known) = self.by_name.get(name) {
            return Ok(Arc::clone(known));
        }
        let opened: Arc<dyn ImageFile> = (parts.open)(image, name)?.into();
        let known = self.by_id.entry(opened.id());
        if matches!(known, Entry::Occupied(_)) {
            parts.held.give_back_file();
        }
        let file = Arc::clone(known.or_insert(opened));
        self.by_name.insert(name, Arc::clone(&file));
        Ok(file)
    }
}

fn open_data(
    line: &ExtentLine,
    file: Option<&dyn ImageFile>,
    cache: &Arc<Cache>,
) -> Result<Data, OpenFault> {
    let Some(file) = file else {
        return Ok(Data::Zero);
    };
    let sparse = match line.kind {
        ExtentKind::Zero => return Ok(Data::Zero),
        ExtentKind::Flat => {
            let at = line.offset.checked_mul(SECTOR);
            let end = at.and_then(|at| at.checked_add(line.sectors * SECTOR));
            return match (at, end) {
                (Some(at), Some(end)) if end <= file.size() => Ok(Data::Flat(at)),
                _ => Err(damaged(format!(
                    "the flat VMDK extent has {} bytes, and should have {} sectors",
                    file.size(),
                    line.sectors
                ))),
            };
        }
        ExtentKind::Hosted => hosted::open(file, cache)?.0,
        ExtentKind::Cowd => cowd::open(file, cache)?,
        ExtentKind::SeSparse => sesparse::open(file, cache)?,
    };
    if sparse.capacity < line.sectors * SECTOR {
        return Err(damaged(format!(
            "the VMDK extent describes {} bytes, and should describe {} sectors",
            sparse.capacity, line.sectors
        )));
    }
    Ok(Data::Sparse(sparse))
}
