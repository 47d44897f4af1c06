//! What kinds of sources there are. Nothing else in the tree asks of which kind a source is.

use std::path::PathBuf;
use std::sync::Arc;

use disk_image::{Cache, Disk, FileId, OpenError, Store};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::error::CatalogError;
use super::images::Images;
use super::recovery_point::{DiskSource, Problem, RecoveryPoint};
use super::restic::{Restic, ResticConfig};

/// One `[[source]]` of `itemlift.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A folder tree `VM/POINT/DISK.EXT`.
    Images {
        /// The folder. Nothing outside it is read, and nothing is written to it.
        #[serde(deserialize_with = "absolute")]
        path: PathBuf,
    },
    /// A repository that restic or rustic writes.
    Restic(ResticConfig),
}

/// A path that means the same wherever the server was started.
fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format!(
        "path = {path:?} does not say where it begins; write it from / on"
    )))
}

impl SourceConfig {
    /// The name that recovery points and messages call the source by.
    pub fn label(&self) -> String {
        match self {
            SourceConfig::Images { path } => path.to_string_lossy().into_owned(),
            SourceConfig::Restic(restic) => restic.label(),
        }
    }
}

/// A source. Everything but `new` and `label` may block for as long as the storage takes.
#[derive(Debug)]
pub(super) enum Source {
    Images(Images),
    Restic(Box<Restic>),
}

/// What a scan found in one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Every recovery point, in any order. All bear the source's label.
    pub(super) points: Vec<Arc<RecoveryPoint>>,
    /// What could not be used, apart from what each point says of itself.
    pub(super) problems: Vec<Problem>,
}

impl Source {
    /// A source whose disks are mostly opened with this cache.
    pub(super) fn new(config: &SourceConfig, cache: &Arc<Cache>) -> Source {
        match config {
            SourceConfig::Images { path } => Source::Images(Images::new(path, config.label())),
            SourceConfig::Restic(restic) => Source::Restic(Box::new(Restic::new(restic, cache))),
        }
    }

    pub(super) fn label(&self) -> &str {
        match self {
            Source::Images(images) => images.label(),
            Source::Restic(restic) => restic.label(),
        }
    }

    /// Looks at everything. What did not change since the scan before is not read again. One at a time.
    pub(super) fn scan(&self) -> Found {
        match self {
            Source::Images(images) => images.scan(),
            Source::Restic(restic) => restic.scan(),
        }
    }

    /// A point that a scan found, as it is now; looks at nothing else. `None`: it is not there any more.
    pub(super) fn again(&self, point: &Arc<RecoveryPoint>) -> Option<Arc<RecoveryPoint>> {
        match self {
            Source::Images(images) => images.point(&point.vm, &point.id),
            Source::Restic(restic) => restic.again(point),
        }
    }

    /// Opens each disk of a point, in disk order: number *n* is LUN *n*.
    pub(super) fn open_disks(
        &self,
        point: &RecoveryPoint,
        cache: &Arc<Cache>,
    ) -> Result<Vec<OpenedDisk>, CatalogError> {
        match self {
            Source::Images(images) => images.open_disks(point, cache),
            Source::Restic(restic) => restic.open_disks(point, cache),
        }
    }

    /// Opens one disk of a point.
    pub(super) fn open_disk(
        &self,
        disk: &DiskSource,
        cache: &Arc<Cache>,
    ) -> Result<Arc<Disk>, CatalogError> {
        match self {
            Source::Images(images) => images.open_disk(disk, cache),
            Source::Restic(restic) => restic.open_disk(disk, cache),
        }
    }
}

/// A disk of a recovery point, if it could be opened.
#[derive(Debug)]
pub struct OpenedDisk {
    /// Name shown to people.
    pub name: String,
    /// The disk, or why not.
    pub disk: Result<Arc<Disk>, OpenError>,
}

/// Opens each disk of a point, all of which lie in one store, in disk order. An image that another disk of the point has as its
/// backing or data file, and that `point.toml` does not list, is no disk of its own and is left out. `file` finds the file of
/// a disk's own image.
pub(super) fn open_all(
    store: &dyn Store,
    point: &RecoveryPoint,
    cache: &Arc<Cache>,
    file: impl Fn(&DiskSource) -> Option<FileId>,
) -> Vec<OpenedDisk> {
    let disks = point.disks.iter();
    let opened: Vec<Result<Disk, OpenError>> = disks
        .map(|disk| Disk::open(store, &disk.file(), cache))
        .collect();
    let is_part = |disk: &DiskSource| {
        let mut others = opened.iter().flatten();
        file(disk).is_some_and(|file| others.any(|other| other.depends_on(file)))
    };
    let kept = |disk: &DiskSource| disk.is_stated || !is_part(disk);
    let kept: Vec<bool> = point.disks.iter().map(kept).collect();
    let disks = point.disks.iter().zip(opened).zip(kept);
    let kept = disks.filter(|(_, kept)| *kept);
    kept.map(|((disk, opened), _)| OpenedDisk {
        name: disk.name.clone(),
        disk: opened.map(Arc::new),
    })
    .collect()
}
