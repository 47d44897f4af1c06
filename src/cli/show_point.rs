//! `itemlift point show`.

use std::path::Path;

use clap::Args;

use super::client::Connection;
use super::failure::Failure;
use super::output::{Format, moment, say, say_json, say_table, size, visible};
use crate::api::{DiskView, LeftOut, OpenedPoint};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  itemlift point show web01 latest\n  \
    itemlift point show web01 2026-11-20T02-00-00Z --format json")]
pub(super) struct Show {
    /// The machine that was backed up.
    vm: String,
    /// A recovery point's id, or `latest`.
    point: String,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

impl Show {
    pub(super) async fn run(self, state: &Path) -> Result<(), Failure> {
        let client = self.connection.client(state)?;
        let query = [("vm", self.vm), ("point", self.point)];
        let point: OpenedPoint = client.get("/api/v1/points/show", &query).await?;
        match self.format {
            Format::Json => say_json(&point),
            Format::Table => print(&point),
        }
    }
}

fn print(point: &OpenedPoint) -> Result<(), Failure> {
    let unknown = || "-".to_owned();
    for (name, value) in [
        ("VM", point.vm.clone()),
        ("Point", point.point.clone()),
        ("Time", moment(point.time)),
        ("State", point.consistency.to_string()),
        ("OS", point.os.clone().unwrap_or_else(unknown)),
        ("Source", point.source.clone()),
    ] {
        say(&format!("{name:<8} {}", visible(&value)))?;
    }
    say("")?;
    let row = |disk: &DiskView| {
        [
            disk.name.clone(),
            disk.format.clone().unwrap_or_else(unknown),
            disk.size.map_or_else(unknown, size),
            disk.sector_size
                .map_or_else(unknown, |bytes| bytes.to_string()),
        ]
    };
    say_table(
        ["DISK", "FORMAT", "SIZE", "SECTOR"],
        point.disks.iter().map(row),
        "No disks.",
    )?;
    let faults = point.disks.iter().filter_map(|disk| disk.problem.as_ref());
    let mut problems = faults.chain(&point.problems).peekable();
    if problems.peek().is_some() {
        say("\nProblems:")?;
    }
    for problem in problems {
        say(&format!("  {}", visible(problem)))?;
    }
    if !point.left_out.is_empty() {
        say("\nLeft out:")?;
    }
    for LeftOut { file, reason } in &point.left_out {
        say(&visible(&format!("  {file:?}: {reason}")))?;
    }
    Ok(())
}
