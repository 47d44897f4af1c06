//! The folder that the demo works in, and the commands that an operator would give there.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::process::Command;

use crate::grant::credentials::{NoRandomness, random};

/// Where things are.
pub(super) struct Workplace {
    path: PathBuf,
    port: u16,
    /// The folder is ours to remove.
    temporary: bool,
}

/// What `itemlift grant create --format json` prints.
#[derive(Deserialize)]
pub(super) struct Created {
    pub(super) grant: String,
    pub(super) file: PathBuf,
    pub(super) password: Option<String>,
}

/// The folder cannot be used, or a command in it failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkplaceError {
    /// The system refused something.
    #[error("cannot use {path:?}: {source}")]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else's things are in it.
    #[error("{0:?} is not empty: name a new folder")]
    NotEmpty(PathBuf),
    /// No port.
    #[error("there is no free port on 127.0.0.1: {0}")]
    NoPort(#[source] io::Error),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A command of ours failed.
    #[error("`itemlift {command}` failed: {said}")]
    Command {
        /// Its words.
        command: String,
        /// What it printed.
        said: String,
    },
}

impl Workplace {
    /// `folder`, or a new temporary one that is removed in the end.
    pub(super) fn create(folder: Option<PathBuf>) -> Result<Self, WorkplaceError> {
        let temporary = folder.is_none();
        let path = match folder {
            Some(folder) => std::path::absolute(&folder).map_err(cannot_use(&folder))?,
            None => {
                let name = u64::from_be_bytes(random()?);
                std::env::temp_dir().join(format!("itemlift-demo-{name:016x}"))
            }
        };
        // Nobody else's business: it will hold keys.
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(!temporary);
        builder.create(&path).map_err(cannot_use(&path))?;
        if fs::read_dir(&path)
            .map_err(cannot_use(&path))?
            .next()
            .is_some()
        {
            return Err(WorkplaceError::NotEmpty(path));
        }
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(WorkplaceError::NoPort)?.port();
        Ok(Self {
            path,
            port,
            temporary,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    pub(super) fn portal(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder of a new recovery point.
    pub(super) fn new_point(&self, vm: &str, point: &str) -> Result<PathBuf, WorkplaceError> {
        let folder = self.backups().join(vm).join(point);
        fs::create_dir_all(&folder).map_err(cannot_use(&folder))?;
        Ok(folder)
    }

    pub(super) fn write_config(&self) -> Result<(), WorkplaceError> {
        let path = self.state().join("itemlift.toml");
        let portal = self.portal();
        let backups = toml::Value::from(self.backups().to_string_lossy().into_owned());
        let config = format!(
            "site = \"demo\"\nlisten = [\"{portal}\"]\nadvertise = \"{portal}\"\n\n[[source]]\nkind = \"images\"\npath = {backups}\n"
        );
        fs::write(&path, config).map_err(cannot_use(&path))
    }

    /// `itemlift grant create`, as a process of its own.
    pub(super) async fn create_grant(&self, vm: &str, os: &str) -> Result<Created, WorkplaceError> {
        let out = self.path.to_string_lossy();
        let words = [
            "grant", "create", "--vm", vm, "--os", os, "--out", &out, "--format", "json",
        ];
        let printed = self.itemlift(&words).await?;
        serde_json::from_slice(&printed).map_err(|error| WorkplaceError::Command {
            command: words.join(" "),
            said: error.to_string(),
        })
    }

    /// `itemlift grant revoke`, as a process of its own.
    pub(super) async fn revoke_grant(&self, grant: &str) -> Result<(), WorkplaceError> {
        self.itemlift(&["grant", "revoke", grant]).await.map(drop)
    }

    /// Removes the folder if it is ours.
    pub(super) fn close(self) -> Result<(), WorkplaceError> {
        self.remove()
    }

    fn remove(&self) -> Result<(), WorkplaceError> {
        if self.temporary && self.path.exists() {
            fs::remove_dir_all(&self.path).map_err(cannot_use(&self.path))?;
        }
        Ok(())
    }

    fn backups(&self) -> PathBuf {
        self.path.join("backups")
    }

    async fn itemlift(&self, words: &[&str]) -> Result<Vec<u8>, WorkplaceError> {
        let failed = |said: String| WorkplaceError::Command {
            command: words.join(" "),
            said,
        };
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let output = Command::new(program)
            .arg("--state")
            .arg(self.state())
            .args(words)
            // Would name another server's token.
            .env_remove("ITEMLIFT_TOKEN")
            .output()
            .await
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(failed(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ))
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // After a failure; the failure is what has to be told.
        let _ = self.remove();
    }
}

fn cannot_use(path: &Path) -> impl FnOnce(io::Error) -> WorkplaceError {
    let path = path.to_owned();
    |source| WorkplaceError::Folder { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_private_and_goes_away() {
        use std::os::unix::fs::MetadataExt as _;
        let workplace = Workplace::create(None).unwrap();
        let path = workplace.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        workplace.new_point("vm", "point").unwrap();
        drop(workplace);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_of_somebody_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "").unwrap();
        let refused = Workplace::create(Some(dir.path().to_owned()));
        assert!(matches!(refused, Err(WorkplaceError::NotEmpty(_))));
        let empty = dir.path().join("a/b");
        drop(Workplace::create(Some(empty.clone())).unwrap());
        assert!(empty.exists() && dir.path().join("mine").exists());
    }
}
