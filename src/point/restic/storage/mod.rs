//! Where a repository's files lie, as far as a reader needs it: names of a kind, and the bytes of one.
//!
//! There is no way to write, remove or lock anything. Every call blocks, on remote storage no longer
//! than the bounds of [`remote`].

mod folder;
mod object;
mod remote;
mod rest;
mod sftp;

use std::fmt;

use self::folder::LocalFolder;
use self::remote::Remote;
use super::config::ResticConfig;
use super::error::{RepositoryError, StorageFault};
use super::id::Id;
use super::location::Location;
use super::options::Options;

/// A repository's files.
#[derive(Debug)]
pub(super) enum Storage {
    Folder(LocalFolder),
    Remote(Box<Remote>),
}

/// A kind of file that there are many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Snapshot,
    Index,
}

/// One file of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Config,
    Key(Id),
    Snapshot(Id),
    Index(Id),
    Pack(Id),
}

/// Which bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All, of which there are no more than this.
    Whole { limit: u64 },
    /// So many bytes at an offset.
    Range { offset: u64, length: u32 },
}

/// Files of one kind, at most.
pub(super) const MAX_LISTED: usize = 1 << 18;

impl Storage {
    /// A storage as it is configured. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`RepositoryError::Options`].
    pub(super) fn new(
        config: &ResticConfig,
        options: &Options,
    ) -> Result<Storage, RepositoryError> {
        match &config.location {
            Location::Folder(path) => Ok(Storage::Folder(LocalFolder::new(path))),
            Location::Rest { url, options: said } => Remote::rest(url, said, options),
            Location::Sftp(said) => Remote::sftp(said, options),
            Location::Object {
                service,
                options: said,
            } => Remote::object(*service, said, options),
        }
    }

    /// The names of all files of a kind, in no order.
    ///
    /// # Errors
    /// [`RepositoryError::Storage`], also when not all of them could be listed.
    pub(super) fn list(&self, kind: Kind) -> Result<Vec<Id>, RepositoryError> {
        let names = match self {
            Storage::Folder(folder) => folder.list(kind).map_err(|fault| fault.of(&kind)),
            Storage::Remote(remote) => remote.list(kind),
        }?;
        if names.len() > MAX_LISTED {
            return Err(RepositoryError::TooLarge {
                what: format!("the number of files in {kind}"),
                limit: MAX_LISTED as u64,
            });
        }
        Ok(names.iter().filter_map(|name| Id::parse(name)).collect())
    }

    /// What `check` makes of a file's bytes: for [`Part::Range`] it is given exactly as many as are asked for. What came from
    /// far away and is wrong may have become so on its way: it is asked for again.
    ///
    /// # Errors
    /// [`RepositoryError::Storage`], [`RepositoryError::TooLarge`], and what `check` says, as [`RepositoryError::Damaged`].
    pub(super) fn read<T>(
        &self,
        file: File,
        part: Part,
        check: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, RepositoryError> {
        let check = |content: &[u8]| match part {
            Part::Whole { limit } if content.len() as u64 > limit => {
                Err(RepositoryError::TooLarge {
                    what: file.to_string(),
                    limit,
                })
            }
            Part::Range { length, .. } if content.len() != length as usize => {
                Err(StorageFault::Short.of(&file))
            }
            Part::Whole { .. } | Part::Range { .. } => {
                check(content).map_err(|what| RepositoryError::Damaged {
                    file: file.to_string(),
                    what,
                })
            }
        };
        match self {
            Storage::Folder(folder) => {
                let read = folder.read(file, part);
                check(&read.map_err(|fault| fault.of(&file))?)
            }
            Storage::Remote(remote) => remote.read(file, part, check),
        }
    }
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Kind::Key => "keys",
            Kind::Snapshot => "snapshots",
            Kind::Index => "index",
        }
    }
}

/// The path in the repository.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.folder())
    }
}

impl Part {
    /// The most bytes that are wanted; one more tells that a file is too large.
    fn most(self) -> u64 {
        match self {
            Part::Whole { limit } => limit.saturating_add(1),
            Part::Range { length, .. } => length.into(),
        }
    }
}

/// The path in the repository. Packs lie in folders by the first two digits, except on REST servers.
impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            File::Config => f.write_str("config"),
            File::Key(id) => write!(f, "keys/{id}"),
            File::Snapshot(id) => write!(f, "snapshots/{id}"),
            File::Index(id) => write!(f, "index/{id}"),
            File::Pack(id) => {
                let name = id.to_string();
                write!(f, "data/{}/{name}", name.get(..2).unwrap_or_default())
            }
        }
    }
}
