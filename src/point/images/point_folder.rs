//! One recovery point's folder: its disks in order, and what `point.toml` says of them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk_image::{Entry, Folder, OpenFault};
use rustix::fs::FileType;

use super::beside::reason_to_ignore;
use super::order;
use super::point_toml::{DiskToml, PointToml, References, SectorSize};
use super::scan::{Outcome, is_hidden};
use super::time;
use crate::point::MAX_DISKS;
use crate::point::recovery_point::{DiskSource, Ignored, Problem, RecoveryPoint};

/// The operator's file beside the disks.
pub(in crate::point) const POINT_TOML: &str = "point.toml";

/// Bytes in a `point.toml`, at most: 255 disks with long names fit several times over.
pub(in crate::point) const MAX_POINT_TOML: u64 = 256 * 1024;

/// Reads the folder `VM/NAME` beneath the source.
pub(super) fn read(root: &Folder, label: &str, vm: &str, name: &OsStr, is_link: bool) -> Outcome {
    let path = Path::new(vm).join(name);
    let problem = |reason: String, advice: &str| {
        Outcome::Problem(Problem {
            path: path.clone(),
            reason,
            advice: advice.to_owned(),
        })
    };
    let Some(id) = name.to_str() else {
        return problem(
            "the name is not UTF-8, so nobody could ask for it".to_owned(),
            "rename the folder",
        );
    };
    let from_name = time::parse(id);
    if is_link && from_name.is_none() {
        // Such as `latest`: another name for a point that is listed anyhow.
        return Outcome::Nothing;
    }
    let read = root
        .folder(&path)
        .and_then(|folder| folder.entries().map_err(OpenFault::Io));
    let entries = match read {
        Ok(entries) => entries,
        Err(fault) => {
            return problem(why_unreadable(&fault), "check that itemlift may read it");
        }
    };
    let stated = read_toml(root, &path.join(POINT_TOML));
    let stated_time = stated.as_ref().ok().and_then(|stated| stated.time);
    let Some(time) = stated_time.or(from_name) else {
        let why = stated
            .err()
            .map(|problem| format!(" and point.toml: {}", problem.reason))
            .unwrap_or_default();
        return problem(
            format!("the folder's name is no time{why}"),
            "name it after the backup's time, such as 2026-11-20T02-00-00Z, or state `time` in its point.toml",
        );
    };
    if id == "latest" {
        return problem(
            "`latest` always means the newest point".to_owned(),
            "give the folder another name",
        );
    }
    let mut point = RecoveryPoint {
        vm: vm.to_owned(),
        id: id.to_owned(),
        time,
        consistency: Default::default(),
        os: None,
        disks: Vec::new(),
        source: label.to_owned(),
        problems: Vec::new(),
        ignored: Vec::new(),
    };
    match stated {
        Ok(stated) => fill(&mut point, &path, Path::new(vm), stated, entries),
        // Without it the disks' order and formats would be guesses.
        Err(problem) => point.problems.push(problem),
    }
    Outcome::Point(Arc::new(point))
}

/// Why a folder gives no list of what is in it. What the fault itself advises is for images.
pub(super) fn why_unreadable(fault: &OpenFault) -> String {
    match fault {
        OpenFault::Missing => "it does not exist, or is no folder".to_owned(),
        OpenFault::Outside => "it leads out of the source".to_owned(),
        OpenFault::Io(errno) => format!("the folder cannot be read: {errno}"),
        fault => format!("the folder cannot be read: {fault}"),
    }
}

/// A missing file states nothing.
fn read_toml(root: &Folder, path: &Path) -> Result<PointToml, Problem> {
    let problem = |reason: String, advice: &str| Problem {
        path: path.to_owned(),
        reason,
        advice: advice.to_owned(),
    };
    let file = match root.regular_file(path) {
        Ok((file, _)) => file,
        Err(OpenFault::Missing) => return Ok(PointToml::default()),
        Err(fault) => {
            return Err(problem(
                format!("it cannot be read: {fault}"),
                "check that itemlift may read it",
            ));
        }
    };
    let mut text = Vec::new();
    let read = std::fs::File::from(file)
        .take(MAX_POINT_TOML + 1)
        .read_to_end(&mut text);
    if let Err(error) = read {
        return Err(problem(
            format!("it cannot be read: {error}"),
            "check that itemlift may read it",
        ));
    }
    if text.len() as u64 > MAX_POINT_TOML {
        return Err(problem(
            format!("it is larger than {MAX_POINT_TOML} bytes"),
            "remove what is not needed",
        ));
    }
    parse_point_toml(path, &text)
}

/// Understands the content of the `point.toml` at `path`.
pub(in crate::point) fn parse_point_toml(path: &Path, text: &[u8]) -> Result<PointToml, Problem> {
    let problem = |reason: String, advice: &str| Problem {
        path: path.to_owned(),
        reason,
        advice: advice.to_owned(),
    };
    let text = str::from_utf8(text).map_err(|error| {
        problem(
            format!("it cannot be read: {error}"),
            "write it again as UTF-8 text",
        )
    })?;
    toml::from_str(text).map_err(|error| problem(toml_fault(text, &error), "correct the file"))
}

/// What is wrong and in which line, without the excerpt that the error draws over several lines.
fn toml_fault(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    let before = error.span().and_then(|span| text.get(..span.start));
    match before.map(|before| before.matches('\n').count() + 1) {
        Some(line) => format!("line {line} is not valid: {message}"),
        None => format!("it is not valid: {message}"),
    }
}

/// Puts into the point what `point.toml` and the folder at `path` say of it. `vm_folder` is where
/// the VM's files lie, and nobody else's: empty if that is all that the point's disks can reach.
pub(in crate::point) fn fill(
    point: &mut RecoveryPoint,
    path: &Path,
    vm_folder: &Path,
    stated: PointToml,
    entries: Vec<Entry>,
) {
    point.consistency = stated.consistency;
    point.os = stated.os;
    let mut images = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.name != POINT_TOML) {
        match reason_to_leave_out(&entry, !stated.disks.is_empty(), &stated.disks) {
            Some(reason) => point.ignored.push(Ignored {
                path: path.join(&entry.name),
                reason,
            }),
            None => images.push(entry),
        }
    }
    point.ignored.sort_by(|a, b| a.path.cmp(&b.path));
    let common = Common {
        sector_size: stated.sector_size.map(SectorSize::bytes),
        references: match stated.references {
            References::Vm => vm_folder.to_owned(),
            References::Source => PathBuf::new(),
        },
    };
    if stated.disks.is_empty() {
        images.sort_by(|a, b| order::natural(a.name.as_encoded_bytes(), b.name.as_encoded_bytes()));
        for image in images {
            push_found(point, path, &image.name, &common);
        }
    } else {
        for disk in stated.disks {
            push_stated(point, path, disk, &images, &common);
        }
    }
    refuse_what_cannot_be_served(point, path);
}

/// What is stated for all disks of a point.
struct Common {
    sector_size: Option<u32>,
    /// As [`DiskSource`] has it.
    references: PathBuf,
}

fn push_found(point: &mut RecoveryPoint, path: &Path, file: &OsStr, common: &Common) {
    match file.to_str() {
        Some(name) => point.disks.push(DiskSource {
            name: name.to_owned(),
            path: path.join(file),
            format: None,
            sector_size: common.sector_size,
            is_stated: false,
            snapshot: None,
            references: common.references.clone(),
        }),
        None => point.problems.push(Problem {
            path: path.join(file),
            reason: "the name is not UTF-8, so this disk has no name to show".to_owned(),
            advice:
                "rename the file, or leave it out by listing the others as [[disk]] in point.toml"
                    .to_owned(),
        }),
    }
}

fn push_stated(
    point: &mut RecoveryPoint,
    path: &Path,
    disk: DiskToml,
    images: &[Entry],
    common: &Common,
) {
    let is_here = images
        .iter()
        .any(|image| *image.name == *disk.file.as_os_str());
    let is_plain_name = disk.file.components().count() == 1;
    if is_plain_name && !is_here {
        point.problems.push(Problem {
            path: path.join(&disk.file),
            reason: "point.toml lists this disk, and there is no such file".to_owned(),
            advice: "put the file back, or correct point.toml".to_owned(),
        });
    }
    point.disks.push(DiskSource {
        name: disk
            .name
            .unwrap_or_else(|| disk.file.to_string_lossy().into_owned()),
        path: path.join(&disk.file),
        format: disk.format,
        sector_size: disk
            .sector_size
            .map(SectorSize::bytes)
            .or(common.sector_size),
        is_stated: true,
        snapshot: None,
        references: common.references.clone(),
    });
}

/// A set of disks that would be served in part, or in an order that nobody meant, is not served.
fn refuse_what_cannot_be_served(point: &mut RecoveryPoint, path: &Path) {
    let mut names = HashSet::new();
    let twice = point.disks.iter().find(|disk| !names.insert(&disk.name));
    let problem = if let Some(disk) = twice {
        (
            format!("two disks have the name {:?}", disk.name),
            "give each [[disk]] in point.toml a name of its own".to_owned(),
        )
    } else if point.disks.len() > MAX_DISKS {
        (
            format!("it has {} disks", point.disks.len()),
            format!(
                "at most {MAX_DISKS} are served: list the disks you need as [[disk]] in point.toml"
            ),
        )
    } else if point.disks.is_empty() && point.problems.is_empty() {
        (
            "it has no disk images".to_owned(),
            "put the images into this folder, or remove it".to_owned(),
        )
    } else {
        return;
    };
    point.disks.clear();
    // First: it is the reason that nothing is served.
    point.problems.insert(
        0,
        Problem {
            path: path.to_owned(),
            reason: problem.0,
            advice: problem.1,
        },
    );
}

fn reason_to_leave_out(entry: &Entry, has_list: bool, list: &[DiskToml]) -> Option<&'static str> {
    if list
        .iter()
        .any(|disk| *disk.file.as_os_str() == *entry.name)
    {
        return None;
    }
    if is_hidden(&entry.name) {
        return Some("hidden");
    }
    match entry.kind {
        FileType::RegularFile | FileType::Symlink => {}
        FileType::Directory => return Some("a folder"),
        _ => return Some("neither file nor folder"),
    }
    let reason = reason_to_ignore(Path::new(&entry.name));
    reason.or_else(|| has_list.then_some("not listed in point.toml"))
}
