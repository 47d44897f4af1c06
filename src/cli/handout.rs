//! Writes a mount script or a bundle where the caller wants it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;

const WHAT: &str = "no grant was made";

/// Where the file goes.
#[derive(Debug)]
pub(super) enum Place {
    /// Into this folder, under its own name.
    Folder(PathBuf),
    /// To this path.
    File(PathBuf),
}

impl Place {
    /// Looks at what `--out` names before anything is made. A file that is there stays, unless `replace`.
    pub(super) fn find(out: &Path, replace: bool) -> Result<Self, Failure> {
        let named = out.display();
        if out == Path::new("-") {
            return Err(Failure::new(
                WHAT,
                "`-` is no file: standard output tells of the grant, and shows the password",
                "name a file or a folder with --out",
            ));
        }
        match fs::symlink_metadata(out) {
            Ok(_) if out.is_dir() => Ok(Self::Folder(out.to_owned())),
            Ok(found) if found.is_symlink() => Err(Failure::new(
                WHAT,
                format!("{named} is a symbolic link, which is not written through"),
                "name the file itself",
            )),
            Ok(found) if !found.is_file() => Err(Failure::new(
                WHAT,
                format!("{named} is neither a file nor a folder"),
                "name another place with --out",
            )),
            Ok(_) if !replace => Err(Failure::new(
                WHAT,
                format!("{named} exists already"),
                "name another place with --out, or add --replace",
            )),
            Ok(_) => Ok(Self::File(out.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::new_file(out),
            Err(error) => Err(Failure::new(
                WHAT,
                format!("{named} cannot be looked at: {error}"),
                "name another place with --out",
            )),
        }
    }

    fn new_file(out: &Path) -> Result<Self, Failure> {
        let parent = match out.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let is_folder_name = out.as_os_str().as_encoded_bytes().ends_with(b"/");
        if parent.is_dir() && !is_folder_name {
            return Ok(Self::File(out.to_owned()));
        }
        let missing = if is_folder_name { out } else { parent };
        Err(Failure::new(
            WHAT,
            format!("the folder {} does not exist", missing.display()),
            "make it, or name another place with --out",
        ))
    }

    /// Writes the file with `mode` and says where it is. Never through a symbolic link.
    ///
    /// # Errors
    /// The system's reason; then there is no new file.
    pub(super) fn write(
        &self,
        file_name: &str,
        mode: u32,
        content: &[u8],
        replace: bool,
    ) -> io::Result<PathBuf> {
        let path = match self {
            Self::Folder(folder) => folder.join(safe_name(file_name)?),
            Self::File(path) => path.clone(),
        };
        if replace {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut file = OpenOptions::new()
            .write(true)
            // O_EXCL: neither an existing file nor a link is opened.
            .create_new(true)
            .mode(mode)
            .open(&path)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a script is of no use; the error that is told is the first one.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(path)
    }
}

/// A name that comes from the server is a name, not a path.
fn safe_name(name: &str) -> io::Result<&str> {
    let is_plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    is_plain
        .then_some(name)
        .ok_or_else(|| io::Error::other("the server gave a file name that is a path"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn nothing_is_overwritten_or_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("there");
        fs::write(&there, "mine").unwrap();
        assert!(Place::find(&there, false).is_err());
        assert!(Place::find(&there, true).is_ok());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&there, &link).unwrap();
        assert!(Place::find(&link, true).is_err());
        assert!(Place::find(Path::new("/dev/null"), true).is_err());
        assert!(Place::find(Path::new("-"), false).is_err());
        assert!(Place::find(&dir.path().join("no/such"), false).is_err());
        assert!(Place::find(&dir.path().join("no/"), false).is_err());

        let folder = Place::find(dir.path(), false).unwrap();
        assert!(folder.write("there", 0o700, b"new", false).is_err());
        assert!(folder.write("link", 0o700, b"new", false).is_err());
        assert!(folder.write("../out", 0o700, b"new", false).is_err());
        assert_eq!(fs::read(&there).unwrap(), b"mine");
        // A link made after the look is replaced, not followed.
        folder.write("link", 0o700, b"new", true).unwrap();
        assert_eq!(fs::read(&there).unwrap(), b"mine");
        assert_eq!(fs::read(&link).unwrap(), b"new");
        assert_eq!(fs::metadata(&link).unwrap().mode() & 0o777, 0o700);
    }
}
