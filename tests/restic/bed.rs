//! A repository in a temporary folder, and restic to fill it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use itemlift::point::{Catalog, CatalogError, Disk, Filter, PointRef, RecoveryPoint, SourceConfig};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A repository and a folder to back up from.
pub(crate) struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    /// A repository of this version, 1 or 2.
    pub(crate) fn new(version: u8) -> Bed {
        let bed = Bed::without_repository();
        bed.restic(&["init", "--repository-version", &version.to_string()]);
        bed
    }

    pub(crate) fn without_repository() -> Bed {
        let bed = Bed {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(bed.vm()).unwrap();
        fs::write(bed.password_file(), format!("{PASSWORD}\n")).unwrap();
        bed
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// What is backed up.
    pub(crate) fn vm(&self) -> PathBuf {
        self.folder.path().join("vm")
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.vm().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Runs restic in the folder that is backed up.
    pub(crate) fn restic(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.try_restic(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restic {arguments:?}: {told}");
        output.stdout
    }

    pub(crate) fn try_restic(&self, arguments: &[&str]) -> Output {
        let output = Command::new("restic")
            .args(["--no-cache", "--repo"])
            .arg(self.repository())
            .arg("--password-file")
            .arg(self.password_file())
            .args(arguments)
            .env("TZ", "UTC")
            .current_dir(self.vm())
            .output();
        output.unwrap_or_else(|error| {
            panic!("cannot run restic ({error}): install the package restic, these tests need it")
        })
    }

    /// Backs the folder up as it was at a time of day, and returns the snapshot's short ID.
    pub(crate) fn backup(&self, time: &str, more: &[&str]) -> String {
        let time = format!("2026-11-20 {time}");
        let fixed = [
            "backup", "--json", "--quiet", "--host", "kvm1", "--time", &time, ".",
        ];
        let said = self.restic(&[&fixed[..], more].concat());
        let said = String::from_utf8(said).unwrap();
        let summary = said
            .lines()
            .find(|line| line.contains("snapshot_id"))
            .unwrap();
        let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
        summary["snapshot_id"].as_str().unwrap()[..8].to_owned()
    }

    /// What restic says that a file of a snapshot holds. The path is from the folder that was backed up.
    pub(crate) fn dump(&self, snapshot: &str, path: &str) -> Vec<u8> {
        self.restic(&["dump", snapshot, &format!("/{path}")])
    }

    pub(crate) fn config(&self) -> SourceConfig {
        config(&format!(
            "repository = {:?}\npassword_file = {:?}",
            self.repository(),
            self.password_file()
        ))
    }

    pub(crate) fn catalog(&self) -> Catalog {
        open(self.config())
    }

    /// All disks of the newest point.
    pub(crate) fn open(&self) -> Result<Vec<Arc<Disk>>, CatalogError> {
        let catalog = self.catalog();
        let point = self.point(&catalog);
        catalog.open_disks(&point)
    }

    /// The newest point.
    pub(crate) fn point(&self, catalog: &Catalog) -> Arc<RecoveryPoint> {
        let points = catalog.list(&Filter::default());
        let vm = &points
            .first()
            .unwrap_or_else(|| panic!("no points: {:?}", catalog.problems()))
            .vm;
        catalog.find(vm, &PointRef::Latest).unwrap()
    }

    /// The only disk of the newest point.
    pub(crate) fn disk(&self) -> Arc<Disk> {
        let mut disks = self.open().unwrap();
        assert_eq!(disks.len(), 1);
        disks.remove(0)
    }
}

/// A catalog that has looked at its source, however long that takes on a busy machine.
pub(crate) fn open(config: SourceConfig) -> Catalog {
    let catalog = Catalog::open(&[config]).unwrap();
    wait_until(&catalog, |problems| !problems.contains("not answered"));
    catalog
}

/// Looks again until what the source's problems say is as it should.
pub(crate) fn wait_until(catalog: &Catalog, is_well: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    while !is_well(&problems(catalog)) {
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{}",
            problems(catalog)
        );
        std::thread::sleep(Duration::from_millis(500));
        catalog.rescan();
    }
}

/// Everything that is wrong with the source.
pub(crate) fn problems(catalog: &Catalog) -> String {
    let problems = catalog.problems();
    let lines = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.source, problem.problem));
    lines.collect::<Vec<_>>().join("\n")
}

/// A `[[source]]` of kind `restic`.
pub(crate) fn config(text: &str) -> SourceConfig {
    toml::from_str(&format!("kind = 'restic'\n{text}")).unwrap()
}

/// The files below a folder of the repository.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Changes a file of a repository: restic makes them read-only.
pub(crate) fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

pub(crate) fn ids(catalog: &Catalog) -> Vec<String> {
    let points = catalog.list(&Filter::default());
    points.iter().map(|point| point.id.clone()).collect()
}
