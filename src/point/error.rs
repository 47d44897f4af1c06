//! What the catalog cannot give, by blame. Each message says what failed, why, and what to do.

use disk_image::OpenError;

/// The catalog cannot give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Two sources in the configuration are the same.
    #[error("the source {0:?} is configured twice; remove one of the two [[source]] entries")]
    DuplicateSource(String),
    /// No source has a VM of this name.
    #[error("no source has a VM named {vm:?}; `itemlift point list` shows those that exist")]
    UnknownVm {
        /// The name asked for.
        vm: String,
    },
    /// The VM has no such recovery point.
    #[error(
        "the VM {vm:?} has no recovery point {id:?}; `itemlift point list` shows those that exist"
    )]
    UnknownPoint {
        /// The VM asked for.
        vm: String,
        /// The recovery point asked for.
        id: String,
    },
    /// What was asked for is in no source that answers, and one does not.
    #[error(
        "of {vm:?}, the sources that answer do not hold what was asked for, and {label:?} has not answered for {seconds} s; check that its storage is mounted and that it answers"
    )]
    Silent {
        /// The VM asked for.
        vm: String,
        /// The source that does not answer.
        label: String,
        /// For how long.
        seconds: u64,
    },
    /// The recovery point has no such disk.
    #[error(
        "the recovery point {id:?} of {vm:?} has no disk {name:?}, but {}; if it had, its image was moved, or left out of point.toml",
        quoted(.has)
    )]
    UnknownDisk {
        /// The VM.
        vm: String,
        /// The recovery point.
        id: String,
        /// The disk asked for.
        name: String,
        /// Those it has.
        has: Vec<String>,
    },
    /// Two sources have the same VM and the same recovery point.
    #[error(
        "the recovery point {id:?} of {vm:?} is in two sources, {first:?} and {second:?}; rename one of the two folders, or configure one source only"
    )]
    Ambiguous {
        /// The VM asked for.
        vm: String,
        /// The recovery point asked for.
        id: String,
        /// One source that has it.
        first: String,
        /// The other.
        second: String,
    },
    /// The newest recovery point was asked for, and two have its time: a guess could give back the wrong files.
    #[error(
        "the two newest recovery points of {vm:?} have the same time: {first:?} and {second:?}; name one with --point"
    )]
    TwoNewest {
        /// The VM asked for.
        vm: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// The source that held the point is no longer configured.
    #[error("the source {0:?} is not configured; add it to itemlift.toml")]
    UnknownSource(String),
    /// The point exists, and something is wrong with all of it.
    #[error("the recovery point {id:?} of {vm:?} cannot be used: {reason}; {advice}")]
    Unusable {
        /// The VM.
        vm: String,
        /// The recovery point.
        id: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// One of its disks cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The same, and others could be images that it is based on, which are no disks.
    #[error(
        "{0}; whether the other images are disks or belong to this one cannot be told: to go on without it list them as [[disk]] in point.toml, or in a repository by tags diskN=PATH"
    )]
    BaseUnknown(OpenError),
}

fn quoted(names: &[String]) -> String {
    match names {
        [] => "no other either".to_owned(),
        names => names
            .iter()
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
