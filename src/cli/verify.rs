//! `itemlift point verify`.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::client::Connection;
use super::failure::Failure;
use super::output::{Format, counted, say, say_json, say_table, size, visible};
use super::progress::{Bar, Unit};
use crate::api::VerifyPoint;
use crate::verify::{Damaged, DiskDone, Event, Finished, Started};

#[derive(Debug, Args)]
#[command(
    after_help = "The server reads everything. The SHA-256 is that of the raw disk, as `qemu-img convert -O raw` makes it. \
    What the server cannot read or finds wrong is listed by disk, bytes, logical blocks (LBA) and file.\n\n\
    Examples:\n  itemlift point verify web01 latest\n  \
    itemlift point verify web01 2026-11-20T02-00-00Z --disk system --format json"
)]
pub(super) struct Verify {
    /// The machine that was backed up.
    vm: String,
    /// A recovery point's id, or `latest`.
    point: String,
    /// Only the disk of this name.
    #[arg(long, value_name = "NAME")]
    disk: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    vm: String,
    point: String,
    source: String,
    /// Whether anything is.
    damaged: bool,
    bytes_read: u64,
    disks: Vec<DiskDone>,
    damage: Vec<Damaged>,
    /// Damage beyond what is listed.
    not_listed: u64,
    #[serde(skip)]
    finished: Option<Finished>,
}

impl Verify {
    pub(super) async fn run(self, state: &Path) -> Result<(), Failure> {
        let client = self.connection.client(state)?;
        let asked = VerifyPoint {
            vm: self.vm,
            point: self.point,
            disk: self.disk,
        };
        let mut bar = Bar::new(Unit::Bytes);
        let mut outcome = Outcome::default();
        let took = client
            .post_for_lines("/api/v1/points/verify", Some(&asked), |event| {
                outcome.take(event, &mut bar);
            })
            .await;
        drop(bar);
        if took.is_err() && outcome.vm.is_empty() {
            return took;
        }
        match self.format {
            Format::Json => say_json(&outcome)?,
            Format::Table => outcome.print()?,
        }
        took?;
        outcome.judge()
    }
}

impl Outcome {
    fn take(&mut self, event: Event, bar: &mut Bar) {
        match event {
            Event::Started(Started {
                vm, point, source, ..
            }) => {
                (self.vm, self.point, self.source) = (vm, point, source);
            }
            Event::Progress(progress) => bar.show(progress.done, progress.bytes),
            Event::Damaged(damaged) => {
                self.damaged = true;
                self.damage.push(damaged);
            }
            Event::Disk(disk) => self.disks.push(disk),
            Event::Finished(finished) => {
                self.bytes_read = finished.bytes_read;
                self.not_listed = finished.not_listed;
                self.finished = Some(finished);
            }
        }
    }

    fn print(&self) -> Result<(), Failure> {
        let text = |of: &Option<String>| of.clone().unwrap_or_else(|| "-".into());
        let row = |disk: &DiskDone| {
            [
                disk.disk.clone(),
                text(&disk.format),
                disk.size.map_or_else(|| "-".into(), size),
                match disk.damages {
                    0 => "good".into(),
                    _ if disk.damaged_bytes > 0 => size(disk.damaged_bytes),
                    _ => "yes".into(),
                },
                text(&disk.sha256),
            ]
        };
        say_table(
            ["DISK", "FORMAT", "SIZE", "DAMAGED", "SHA-256"],
            self.disks.iter().map(row),
            "No disk was read to its end.",
        )?;
        if self.damage.is_empty() {
            return Ok(());
        }
        say("\nDamage:")?;
        for damaged in &self.damage {
            say(&visible(&sentence(damaged)))?;
        }
        if self.not_listed > 0 {
            say(&format!("and {} more", self.not_listed))?;
        }
        Ok(())
    }

    /// The exit status says whether anything is damaged.
    fn judge(&self) -> Result<(), Failure> {
        let what = || format!("the recovery point {:?} of {:?} is", self.point, self.vm);
        match &self.finished {
            None => Err(Failure::new(
                format!("{} not verified to its end", what()),
                "the server ended the answer",
                "see the server's log, then try again",
            )),
            Some(finished) if finished.damages > 0 => Err(Failure::new(
                format!("{} damaged", what()),
                format!(
                    "{} of {}, {}",
                    finished.damaged_disks,
                    counted(finished.disks as u64, "disk"),
                    counted(finished.damages, "place")
                ),
                "put back good copies of the files named, or choose another recovery point",
            )),
            Some(_) => Ok(()),
        }
    }
}

/// `system: bytes 65536 to 131071 (LBA 128 to 255) of the disk, in "web01/…/system.qcow2": …`.
fn sentence(damaged: &Damaged) -> String {
    let range = match (damaged.offset, damaged.bytes, damaged.lba, damaged.blocks) {
        (Some(offset), Some(bytes), Some(lba), Some(blocks)) => format!(
            "bytes {offset} to {} (LBA {lba} to {}) of the disk, ",
            offset.saturating_add(bytes).saturating_sub(1),
            lba.saturating_add(blocks).saturating_sub(1),
        ),
        _ => String::new(),
    };
    let file = format!("{:?}", damaged.file);
    // Why a disk does not open names the file itself.
    let place = if damaged.file.is_empty() || damaged.reason.contains(&file) {
        range.trim_end_matches(", ").to_owned()
    } else {
        format!("{range}in {file}")
    };
    let place = match place.as_str() {
        "" => String::new(),
        place => format!("{place}: "),
    };
    format!("  {}: {place}{}", damaged.disk, damaged.reason)
}
