//! `itemlift point`.

use std::path::Path;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use super::client::Connection;
use super::failure::Failure;
use super::output::{Format, counted, moment, say, say_json, say_table, visible};
use super::show_point::Show;
use super::time::{self, Edge};
use super::verify::Verify;
use crate::api::PointView;
use crate::point::Consistency;

/// How far back the list goes when nothing else is asked for: 30 days (SPEC §2).
const SHOWN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Recovery points.
#[derive(Debug, Subcommand)]
pub(super) enum Point {
    /// List recovery points, by VM, newest first; those of the last 30 days if nothing else is asked for.
    List(List),
    /// Show a recovery point, after opening its disks: what a grant of it would serve.
    Show(Show),
    /// Read everything of a recovery point, print a SHA-256 for each disk, and list what is damaged. Exit status 1 if anything is.
    Verify(Verify),
}

#[derive(Debug, Args)]
#[command(
    after_help = "DISKS are the images that lie there. Those that others of them are based on or made of are left out once they are opened, \
    as for a grant.\n\nTimes: 2026-11-20T02:00:00Z, 2026-11-20 (UTC), or a time ago: 7d, 36h\n\n\
    Example:\n  itemlift point list --vm web01 --since 7d --consistency application"
)]
pub(super) struct List {
    /// Of this VM.
    #[arg(long)]
    vm: Option<String>,
    /// Made then or later.
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// Made then or earlier.
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// `application`, `file-system` or `crash`.
    #[arg(long, value_name = "C")]
    consistency: Option<Consistency>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

impl Point {
    pub(super) async fn run(self, state: &Path) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(state).await,
            Self::Show(show) => show.run(state).await,
            Self::Verify(verify) => verify.run(state).await,
        }
    }
}

impl List {
    async fn run(self, state: &Path) -> Result<(), Failure> {
        let now = Timestamp::now();
        let read = |text: &Option<String>, edge| {
            let read = text.as_deref().map(|text| time::moment(text, edge, now));
            read.transpose()
                .map_err(|why| Failure::new("no list", why, ""))
        };
        let (since, until) = (
            read(&self.since, Edge::Start)?,
            read(&self.until, Edge::End)?,
        );
        let mut query = Vec::new();
        query.extend(self.vm.clone().map(|vm| ("vm", vm)));
        query.extend(until.map(|until| ("until", until.to_string())));
        query.extend(since.map(|since| ("since", since.to_string())));
        query.extend(self.consistency.map(|of| ("consistency", of.to_string())));
        let client = self.connection.client(state)?;
        let mut points: Vec<PointView> = client.get("/api/v1/points", &query).await?;
        if since.is_none() {
            let oldest = until
                .unwrap_or(now)
                .checked_sub(SHOWN)
                .unwrap_or(Timestamp::MIN);
            let all = points.len();
            points.retain(|point| point.time >= oldest);
            if points.len() < all {
                let older = counted((all - points.len()) as u64, "older recovery point");
                eprintln!("{older} not shown; --since shows more, for example --since 365d");
            }
        }
        if self.format == Format::Json {
            return say_json(&points);
        }
        let row = |point: &PointView| {
            [
                point.vm.clone(),
                point.point.clone(),
                moment(point.time),
                point.consistency.to_string(),
                point.disks.join(", "),
                point.problems.len().to_string(),
            ]
        };
        say_table(
            ["VM", "POINT", "TIME", "CONSISTENCY", "DISKS", "PROBLEMS"],
            points.iter().map(row),
            if query.is_empty() {
                "No recovery points. `itemlift source check` shows where they are looked for, and what is wrong there."
            } else {
                "No recovery point matches. `itemlift point list --since 365d` shows those of all VMs."
            },
        )?;
        // Sentences would tear the table's columns apart.
        for problem in points.iter().flat_map(|point| &point.problems) {
            say(&format!("\n{}", visible(problem)))?;
        }
        Ok(())
    }
}
