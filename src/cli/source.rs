//! `itemlift source`.

use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;

use super::client::{Client, Connection};
use super::failure::Failure;
use super::output::{Format, counted, moment, say, say_json, say_table, visible};
use super::progress::{Bar, Unit};
use crate::api::{CheckEvent, LeftOut, SourceView};

/// Files left out that are shown to people.
const SHOWN_LEFT_OUT: usize = 20;

/// The places that recovery points come from.
#[derive(Debug, Subcommand)]
pub(super) enum Source {
    /// List the sources: what each holds, and what could not be used.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Look at all sources now, open every disk image, and say what cannot be used. Exit status 1 if anything is wrong.
    Check {
        /// How to print.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Source {
    pub(super) async fn run(self, state: &Path) -> Result<(), Failure> {
        match self {
            Self::List { format, connection } => {
                let client = connection.client(state)?;
                let sources: Vec<SourceView> = client.get("/api/v1/sources", &[]).await?;
                show(&sources, format)
            }
            Self::Check { format, connection } => {
                let sources = check(&connection.client(state)?).await?;
                show(&sources, format)?;
                match sources.iter().map(|source| source.problems.len()).sum() {
                    0 => Ok(()),
                    problems => Err(found(&sources, problems)),
                }
            }
        }
    }
}

async fn check(client: &Client) -> Result<Vec<SourceView>, Failure> {
    let mut bar = Bar::new(Unit::RecoveryPoints);
    let mut found = None;
    let take = |event| match event {
        CheckEvent::Progress { done, points } => bar.show(done, points),
        CheckEvent::Finished { sources } => found = Some(sources),
    };
    client
        .post_for_lines("/api/v1/sources/check", None::<&()>, take)
        .await?;
    found.ok_or_else(|| {
        Failure::new(
            "the sources are not checked to their end",
            "the server ended the answer",
            "see the server's log, then try again",
        )
    })
}

fn show(sources: &[SourceView], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return say_json(&sources);
    }
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".into(), moment);
    let row = |source: &SourceView| {
        [
            source.source.clone(),
            source.vms.to_string(),
            source.points.to_string(),
            source.disks.to_string(),
            time(source.oldest),
            time(source.newest),
            source.problems.len().to_string(),
            source.left_out.len().to_string(),
        ]
    };
    say_table(
        [
            "SOURCE", "VMS", "POINTS", "DISKS", "OLDEST", "NEWEST", "PROBLEMS", "LEFT OUT",
        ],
        sources.iter().map(row),
        "No sources. Name one in itemlift.toml and restart the server.",
    )?;
    // Which source a file or a sentence belongs to is not said in them.
    for source in sources.iter().filter(|source| !source.problems.is_empty()) {
        say(&format!("\nProblems of {}:", visible(&source.source)))?;
        for problem in &source.problems {
            say(&format!("  {}", visible(problem)))?;
        }
    }
    show_left_out(sources)
}

/// Files that nobody expects to be used are many as a rule: a few tell what is meant.
fn show_left_out(sources: &[SourceView]) -> Result<(), Failure> {
    let mut all = sources
        .iter()
        .flat_map(|source| &source.left_out)
        .peekable();
    if all.peek().is_some() {
        say("\nLeft out:")?;
    }
    for LeftOut { file, reason } in all.by_ref().take(SHOWN_LEFT_OUT) {
        say(&visible(&format!("  {file:?}: {reason}")))?;
    }
    match all.count() {
        0 => Ok(()),
        more => say(&format!("  and {more} more; --format json lists them")),
    }
}

fn found(sources: &[SourceView], problems: usize) -> Failure {
    let affected = sources.iter().filter(|source| !source.problems.is_empty());
    Failure::new(
        "not everything in the sources can be used",
        format!(
            "{} in {}",
            counted(problems as u64, "problem"),
            counted(affected.count() as u64, "source")
        ),
        "see the list",
    )
}
