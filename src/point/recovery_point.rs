//! A recovery point as the catalog lists it: what is known without opening an image.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use disk_image::{DiskFile, Format};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One immutable, dated backup of one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryPoint {
    /// The VM's name: any text that a folder name may hold, line breaks and shell characters too.
    pub vm: String,
    /// Name of the point's folder, with the time of a snapshot that its images keep after an `@`;
    /// unique for the VM within its source.
    pub id: String,
    /// When the backup was made.
    pub time: Timestamp,
    /// How consistent its disks are.
    pub consistency: Consistency,
    /// What runs on the VM, when `point.toml` says so.
    pub os: Option<String>,
    /// Disk images in disk order. Opening may leave out those that only serve as backing or data
    /// files of others, see [`Catalog::open_disks`](super::Catalog::open_disks).
    pub disks: Vec<DiskSource>,
    /// The source that holds it, as [`SourceConfig::label`](super::SourceConfig::label) names it.
    pub source: String,
    /// What is wrong with it. A point with a problem and no disks cannot be used.
    pub problems: Vec<Problem>,
    /// Files beside the disks that were left out, with the reason.
    pub ignored: Vec<Ignored>,
}

/// One disk of a recovery point, not yet opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSource {
    /// Name shown to people; unique within the point.
    pub name: String,
    /// Image file, relative to the source.
    pub path: PathBuf,
    /// Format that `point.toml` declares.
    pub format: Option<Format>,
    /// Bytes in a logical sector (512, 1024, 2048 or 4096), if `point.toml` states them.
    pub sector_size: Option<u32>,
    /// Whether `point.toml` lists it, rather than that it lies in the folder.
    pub is_stated: bool,
    /// The internal snapshot of the image that is meant, by its ID; else its current state.
    pub snapshot: Option<String>,
    /// The folder, relative to the source, that files which its image names have to lie beneath.
    pub references: PathBuf,
}

impl DiskSource {
    /// Whether its image has a format that can name other files, by what someone other than the guest says.
    pub(super) fn may_name_others(&self) -> bool {
        let format = self.format.or_else(|| Format::of_name(&self.path));
        format.is_some_and(|format| format != Format::Raw)
    }

    /// What is to be opened.
    pub(super) fn file(&self) -> DiskFile {
        DiskFile {
            name: self.name.clone(),
            path: self.path.clone(),
            format: self.format,
            sector_size: self.sector_size,
            snapshot: self.snapshot.clone(),
            references: self.references.clone(),
        }
    }
}

/// What state the VM's data was in when the backup was made.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// Applications had written out their data.
    Application,
    /// File systems had written out their data.
    FileSystem,
    /// As after a power failure. Assumed when nothing says more.
    #[default]
    Crash,
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Consistency::Application => "application",
            Consistency::FileSystem => "file-system",
            Consistency::Crash => "crash",
        })
    }
}

impl FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(text: &str) -> Result<Self, UnknownConsistency> {
        match text {
            "application" => Ok(Consistency::Application),
            "file-system" => Ok(Consistency::FileSystem),
            "crash" => Ok(Consistency::Crash),
            _ => Err(UnknownConsistency(text.to_owned())),
        }
    }
}

/// A word that is no consistency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no consistency; use application, file-system or crash")]
pub struct UnknownConsistency(String);

/// Something in a source that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Where, relative to the source; empty for the source itself.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.as_os_str().is_empty() {
            write!(f, "{:?}: ", self.path)?;
        }
        write!(f, "{}; {}", self.reason, self.advice)
    }
}

/// A file in a point's folder that is no disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The file, relative to the source.
    pub path: PathBuf,
    /// Why it was left out.
    pub reason: &'static str,
}

/// Which recovery point of a VM is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointRef {
    /// The one with the latest time; of several, the one whose id sorts last.
    Latest,
    /// The one with this id.
    Id(String),
}

impl From<&str> for PointRef {
    fn from(text: &str) -> Self {
        match text {
            "latest" => PointRef::Latest,
            id => PointRef::Id(id.to_owned()),
        }
    }
}

/// Which recovery points to list. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this VM only.
    pub vm: Option<String>,
    /// Made at this time or later.
    pub since: Option<Timestamp>,
    /// Made at this time or earlier.
    pub until: Option<Timestamp>,
    /// Of this consistency only.
    pub consistency: Option<Consistency>,
}

impl Filter {
    /// Whether a point is asked for.
    pub fn matches(&self, point: &RecoveryPoint) -> bool {
        self.vm.as_ref().is_none_or(|vm| *vm == point.vm)
            && self.since.is_none_or(|since| since <= point.time)
            && self.until.is_none_or(|until| point.time <= until)
            && self
                .consistency
                .is_none_or(|consistency| consistency == point.consistency)
    }
}
