//! What a repository cannot give, by blame. Each message says what failed and why; `advice` says what to do.

use std::fmt;

use super::id::Id;

/// A repository cannot give what was asked for. No message holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RepositoryError {
    /// The configured password cannot be had.
    #[error("the repository's password cannot be read: {0}")]
    NoPassword(String),
    /// No key of the repository opens with it.
    #[error("the password opens none of the repository's keys")]
    WrongPassword,
    /// Nothing that looks like one.
    #[error("there is no repository: it has no file `config`")]
    NoRepository,
    /// The configuration of its storage does not work.
    #[error("the repository's storage cannot be used: {0}")]
    Options(String),
    /// The storage did not give a file.
    #[error("{file} cannot be read: {fault}")]
    Storage {
        /// Its path in the repository.
        file: String,
        /// Why not.
        fault: StorageFault,
    },
    /// The storage gave something, and it is not what the repository's writer put there.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// Its path in the repository.
        file: String,
        /// What does not hold.
        what: String,
    },
    /// A blob that no index knows.
    #[error("blob {id} is in no index of the repository{}", not_read(.unread.as_deref()))]
    LostBlob {
        /// Its name.
        id: Id,
        /// An index file that could not be read, and that may know it.
        unread: Option<Box<RepositoryError>>,
    },
    /// Blobs that no index knows leave it open where in the file they and those between them begin.
    #[error(
        "blob {0} and others are in no index of the repository, so that what lies between them in the file has no place"
    )]
    LostPlace(Id),
    /// A blob that no index knows leaves the file without a length.
    #[error(
        "blob {0} is in no index of the repository, and nothing else says how long it is, so that the file's length cannot be known"
    )]
    UnknownLength(Id),
    /// Something that is read up to a limit only.
    #[error("{what} is larger than {limit}, the most that is read")]
    TooLarge {
        /// What.
        what: String,
        /// The most, in its unit.
        limit: u64,
    },
    /// A version or form that is not known.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A bug of ours or of a library. It stays where it happened.
    #[error("reading it failed inside the program: {0}")]
    Defect(String),
}

fn not_read(unread: Option<&RepositoryError>) -> String {
    unread.map_or_else(String::new, |error| format!(" that can be read ({error})"))
}

/// Why a file of a storage cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StorageFault {
    /// No such file.
    #[error("it does not exist")]
    Missing,
    /// It ends before what should be in it.
    #[error("it is shorter than what the index says is in it")]
    Short,
    /// We are not allowed to read it.
    #[error("access is denied: {0}")]
    Denied(String),
    /// The storage does not answer, or not as it should, also after several tries.
    #[error("{0}")]
    Unreachable(String),
}

impl StorageFault {
    /// What it means for a file or folder of a repository.
    pub(super) fn of(self, file: &dyn fmt::Display) -> RepositoryError {
        RepositoryError::Storage {
            file: file.to_string(),
            fault: self,
        }
    }
}

impl RepositoryError {
    /// What the operator can do about it.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            RepositoryError::NoPassword(_) => {
                "correct password_file, password_command or password_env of the source"
            }
            RepositoryError::WrongPassword => {
                "check the password with `restic cat config`, and that the source names the right repository"
            }
            RepositoryError::NoRepository => {
                "correct `repository` of the source, or mount the storage that holds it"
            }
            RepositoryError::Options(_) => "correct `options` of the source",
            RepositoryError::Storage { fault, .. } => match fault {
                StorageFault::Missing | StorageFault::Short => {
                    "if the snapshot was removed by forget and prune choose another recovery point, else run `restic check`"
                }
                StorageFault::Denied(_) => "allow itemlift to read the repository",
                StorageFault::Unreachable(_) => {
                    "check the storage, the network and the options of the source"
                }
            },
            RepositoryError::Damaged { .. } => {
                "run `restic check --read-data` and follow its advice"
            }
            RepositoryError::LostBlob {
                unread: Some(unread),
                ..
            } => unread.advice(),
            RepositoryError::LostBlob { unread: None, .. }
            | RepositoryError::LostPlace(_)
            | RepositoryError::UnknownLength(_) => {
                "if the snapshot was removed by forget and prune choose another recovery point, else run `restic check`, and `restic repair index` where packs are there that no index knows"
            }
            RepositoryError::TooLarge { .. } => "restore it with restic",
            RepositoryError::Unsupported(_) => "use restic 0.14 or later, or rustic, to write it",
            RepositoryError::Defect(_) => {
                "run `restic check`; report it if the repository is sound"
            }
        }
    }

    /// Whether other files of the repository may be as they should.
    pub(super) fn is_of_this_file(&self) -> bool {
        match self {
            RepositoryError::Damaged { .. }
            | RepositoryError::TooLarge { .. }
            | RepositoryError::LostPlace(_)
            | RepositoryError::UnknownLength(_)
            | RepositoryError::Defect(_) => true,
            RepositoryError::LostBlob { unread, .. } => {
                unread.as_ref().is_none_or(|error| error.is_of_this_file())
            }
            RepositoryError::Storage { fault, .. } => {
                matches!(fault, StorageFault::Missing | StorageFault::Short)
            }
            RepositoryError::NoPassword(_)
            | RepositoryError::WrongPassword
            | RepositoryError::NoRepository
            | RepositoryError::Options(_)
            | RepositoryError::Unsupported(_) => false,
        }
    }

    /// Whether the file is not there, which another look at the index may explain.
    pub(super) fn is_missing(&self) -> bool {
        matches!(
            self,
            RepositoryError::LostBlob { .. }
                | RepositoryError::Storage {
                    fault: StorageFault::Missing,
                    ..
                }
        )
    }
}
