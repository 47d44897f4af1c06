//! What of a snapshot is a recovery point: finds the disk images in it.
//!
//! A `point.toml` decides, as in an `images` source: the files beside it are the disks. Without one, disks are the files
//! that the tags name, else all whose extension is that of a disk image.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use disk_image::Entry;
use rustix::fs::FileType;

use super::error::RepositoryError;
use super::find::{Contents, Described, MAX_FOLDERS};
use super::id::Id;
use super::index::BlobKind;
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::point::images::{
    DiskToml, MAX_POINT_TOML, POINT_TOML, PointToml, fill, parse_point_toml,
};
use crate::point::recovery_point::{Consistency, Problem, RecoveryPoint};

/// Problems of a point, and files that were left out, that are kept for as long as it is known, at most.
const MAX_KEPT: usize = 1024;

/// The recovery point that a snapshot is, and whether all of it that was looked for could be read; `None` if there is no disk
/// image in it.
///
/// # Errors
/// Its folders cannot be read.
pub(super) fn point(
    repository: &Repository,
    label: &str,
    snapshot: &Snapshot,
) -> Result<Option<(RecoveryPoint, bool)>, RepositoryError> {
    let mut found = Contents::find(repository, &snapshot.tree)?;
    let tagged = snapshot.tagged_disks();
    let mut point = RecoveryPoint {
        vm: snapshot.vm(),
        id: snapshot.point_id(),
        time: snapshot.time,
        consistency: Consistency::default(),
        os: None,
        disks: Vec::new(),
        source: label.to_owned(),
        problems: Vec::new(),
        ignored: Vec::new(),
    };
    if found.described.len() > 1 {
        found.described.retain(|described| described.has_images);
    }
    let mut is_whole = found.unreadable.is_empty();
    let stated = by_tags(snapshot, &tagged, &found.images, &mut point);
    match found.described.as_slice() {
        [] if found.images.is_empty() && tagged.is_empty() => {
            // Perhaps the images are in the one that cannot be read.
            return match found.unreadable.pop() {
                Some((_, error)) => Err(error),
                None => Ok(None),
            };
        }
        [] => {
            let base = common_folder(&found.images);
            let entries = found.images.iter().filter_map(|image| {
                let name = image.strip_prefix(&base).ok()?.as_os_str().to_owned();
                Some(entry(name, FileType::RegularFile))
            });
            fill(&mut point, &base, Path::new(""), stated, entries.collect());
        }
        [described] => is_whole &= described.fill(repository, &mut point),
        [first, second, ..] => point.problems.push(Problem {
            path: first.folder.join(POINT_TOML),
            reason: format!("there is another one in {:?}", second.folder),
            advice: "back each of the two folders up as a snapshot of its own".to_owned(),
        }),
    }
    point
        .problems
        .extend(found.unreadable.into_iter().map(|(path, error)| Problem {
            path,
            reason: error.to_string(),
            advice: error.advice().to_owned(),
        }));
    if found.is_partial {
        point.problems.push(Problem {
            path: PathBuf::new(),
            reason: format!(
                "it has more or longer folders than are looked through for disk images, such as more than {MAX_FOLDERS}"
            ),
            advice: "back the images up as a snapshot of their own, or name them by tags"
                .to_owned(),
        });
    }
    point.problems.truncate(MAX_KEPT);
    point.ignored.truncate(MAX_KEPT);
    below_snapshot(&mut point, &snapshot.id);
    Ok(Some((point, is_whole)))
}

impl Described {
    /// Puts into the point what `point.toml` and its folder say. Whether the file could be read.
    fn fill(&self, repository: &Repository, point: &mut RecoveryPoint) -> bool {
        let path = self.folder.join(POINT_TOML);
        let text = self.text(repository);
        let is_read = text.is_ok();
        match text.and_then(|text| parse_point_toml(&path, &text)) {
            Ok(stated) => {
                point.time = stated.time.unwrap_or(point.time);
                let entries = self.entries.iter();
                let entries = entries.map(|(name, kind)| entry(name.clone(), *kind));
                fill(
                    point,
                    &self.folder,
                    Path::new(""),
                    stated,
                    entries.collect(),
                );
            }
            // Without it the disks' order and formats would be guesses.
            Err(problem) => point.problems.push(problem),
        }
        is_read
    }

    fn text(&self, repository: &Repository) -> Result<Vec<u8>, Problem> {
        let problem = |reason: String, advice: &str| Problem {
            path: self.folder.join(POINT_TOML),
            reason,
            advice: advice.to_owned(),
        };
        let mut text = Vec::new();
        for id in &self.toml {
            let bytes = repository.blob_bytes(id).unwrap_or_default();
            if text.len() as u64 + u64::from(bytes) > MAX_POINT_TOML {
                return Err(problem(
                    format!("it is larger than {MAX_POINT_TOML} bytes"),
                    "remove what is not needed",
                ));
            }
            let read = repository.blob(BlobKind::Data, id);
            let read = read.map_err(|error| problem(error.to_string(), error.advice()))?;
            text.extend_from_slice(&read);
        }
        Ok(text)
    }
}

/// What the tags say, as if it stood in a `point.toml`.
fn by_tags(
    snapshot: &Snapshot,
    tagged: &[PathBuf],
    images: &[PathBuf],
    point: &mut RecoveryPoint,
) -> PointToml {
    let mut stated = PointToml {
        os: snapshot.tag("os").map(str::to_owned),
        ..PointToml::default()
    };
    if let Some(word) = snapshot.tag("consistency") {
        match word.parse() {
            Ok(consistency) => stated.consistency = consistency,
            Err(error) => point.problems.push(Problem {
                path: PathBuf::new(),
                reason: format!("the tag \"consistency={word}\" is not understood: {error}"),
                advice: "correct it with `restic tag`".to_owned(),
            }),
        }
    }
    stated.disks = tagged
        .iter()
        .map(|disk| {
            // A name alone means the image of this name, wherever it lies.
            let found = images.iter().find(|image| image.ends_with(disk));
            DiskToml {
                name: disk
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
                file: Path::new("/").join(found.unwrap_or(disk)),
                format: None,
                sector_size: None,
            }
        })
        .collect();
    stated
}

/// Makes every path begin with the snapshot's ID, by which the source finds it again.
fn below_snapshot(point: &mut RecoveryPoint, id: &Id) {
    let id = PathBuf::from(id.to_string());
    let below = |path: &Path| id.join(path.strip_prefix("/").unwrap_or(path));
    for disk in &mut point.disks {
        disk.path = below(&disk.path);
    }
    for problem in &mut point.problems {
        problem.path = below(&problem.path);
    }
    for ignored in &mut point.ignored {
        ignored.path = below(&ignored.path);
    }
}

/// The folder that all lie in or below.
fn common_folder(images: &[PathBuf]) -> PathBuf {
    let mut common = images
        .first()
        .and_then(|image| image.parent())
        .unwrap_or(Path::new(""));
    while !images.iter().all(|image| image.starts_with(common)) {
        common = common.parent().unwrap_or(Path::new(""));
    }
    common.to_owned()
}

fn entry(name: OsString, kind: FileType) -> Entry {
    Entry { name, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_they_have_in_common() {
        let common = |paths: &[&str]| {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            common_folder(&paths)
        };
        assert_eq!(common(&[]), Path::new(""));
        assert_eq!(common(&["a.raw"]), Path::new(""));
        assert_eq!(common(&["v/l/a.raw"]), Path::new("v/l"));
        assert_eq!(common(&["v/l/a.raw", "v/lib/b.raw"]), Path::new("v"));
        assert_eq!(common(&["v/l/a.raw", "w/b.raw"]), Path::new(""));
    }
}
