//! The state directory: what lies where, and who may read it.
//!
//! ```text
//! STATE/               0700
//!   itemlift.toml      configuration
//!   ca.pem             the server's CA, public
//!   api.token          what the CLI shows to the server, 0600
//!   state.db           grants
//!   audit.log          0600
//!   lock               held by the server that runs
//!   keys/              0700, every file in it 0600
//! ```

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The state directory of a server.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It already holds a server.
    #[error("{0} already holds an itemlift server")]
    AlreadyInitialised(PathBuf),
    /// It does not hold one.
    #[error("{0} holds no itemlift server")]
    NotInitialised(PathBuf),
    /// Its mode lets others in.
    #[error("{path} can be read or written by others (mode {mode:04o})")]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another server runs on it.
    #[error("another itemlift server uses {0}")]
    InUse(PathBuf),
    /// A file in it could not be read or written.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// `read`, `write`, …
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
}

/// The key that secrets in the state database are sealed with.
pub const DATABASE_KEY: &str = "state.key";

/// Group members may look but not touch; others may do nothing.
const FORBIDDEN_MODE: u32 = 0o027;

/// Nobody but the owner may do anything with a private file.
const FORBIDDEN_PRIVATE_MODE: u32 = 0o077;

impl StateDir {
    /// Makes an empty state directory with its `keys` folder.
    ///
    /// # Errors
    /// It is initialised already, others can read it, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, StateDirError> {
        let dir = Self(path.to_owned());
        let files = [dir.config(), dir.database(), dir.ca(), dir.token()];
        if files.iter().any(|file| file.exists()) {
            return Err(StateDirError::AlreadyInitialised(path.to_owned()));
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(io_error("create", path))?;
        let mut names = std::fs::read_dir(path).map_err(io_error("read", path))?;
        if names.next().is_none() {
            // Nothing in it that anybody could have relied on reading.
            std::fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(io_error("change the mode of", path))?;
        }
        dir.check_mode(path, FORBIDDEN_MODE)?;
        let keys = dir.keys();
        // Not one that is there: of two initialisations at one time, the second ends here.
        match builder.recursive(false).create(&keys) {
            Ok(()) => Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StateDirError::AlreadyInitialised(path.to_owned()))
            }
            Err(error) => Err(io_error("create", &keys)(error)),
        }
    }

    /// The state directory of an initialised server.
    ///
    /// # Errors
    /// It is not initialised, or others can read it.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let dir = Self(path.to_owned());
        // Somebody else's directory is not an empty one.
        match std::fs::metadata(dir.config()) {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(StateDirError::NotInitialised(path.to_owned()));
            }
            Err(error) => return Err(io_error("read", path)(error)),
        }
        dir.check_mode(path, FORBIDDEN_MODE)?;
        Ok(dir)
    }

    /// Holds the directory for one server. The lock lasts as long as the file that is returned.
    ///
    /// # Errors
    /// Another server holds it.
    pub fn lock(&self) -> Result<File, StateDirError> {
        let path = self.0.join("lock");
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse(self.0.clone())),
            Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
        }
    }

    /// Removes what an initialisation that failed has made. Files only: a link in their place is somebody else's.
    pub(crate) fn discard(&self) {
        // What cannot be removed is found by the next attempt, which says so.
        let _ = std::fs::remove_dir_all(self.keys());
        for made in [self.ca(), self.token(), self.config()] {
            if std::fs::symlink_metadata(&made).is_ok_and(|found| found.is_file()) {
                let _ = std::fs::remove_file(&made);
            }
        }
        let _ = std::fs::remove_dir(&self.0);
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `itemlift.toml`.
    pub fn config(&self) -> PathBuf {
        self.0.join("itemlift.toml")
    }

    /// The server's CA certificate, PEM.
    pub fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The API token.
    pub fn token(&self) -> PathBuf {
        self.0.join("api.token")
    }

    /// The state database.
    pub fn database(&self) -> PathBuf {
        self.0.join("state.db")
    }

    /// The audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.0.join("audit.log")
    }

    /// A file among the keys.
    pub fn key(&self, name: &str) -> PathBuf {
        self.keys().join(name)
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Reads a file that only the owner may read.
    ///
    /// # Errors
    /// It cannot be read, or others could read it too.
    pub fn read_private(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, StateDirError> {
        self.check_mode(path, FORBIDDEN_PRIVATE_MODE)?;
        std::fs::read(path)
            .map(Zeroizing::new)
            .map_err(io_error("read", path))
    }

    fn check_mode(&self, path: &Path, forbidden: u32) -> Result<(), StateDirError> {
        let mode = std::fs::metadata(path)
            .map_err(io_error("read", path))?
            .mode()
            & 0o7777;
        if mode & forbidden != 0 {
            return Err(StateDirError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        Ok(())
    }
}

/// Writes a new file of the given mode; one that is there already is an error.
///
/// # Errors
/// The file exists or cannot be written.
pub fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), StateDirError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(io_error("write", path))
}

pub(crate) fn io_error<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StateDirError + use<'a> {
    move |error| StateDirError::Io {
        what,
        path: path.to_owned(),
        error,
    }
}
