//! `itemlift source`.

use std::path::Path;

use clap::Subcommand;

use super::client::Connection;
use super::failure::Failure;
use super::output::{Format, say_json, say_table, visible};
use crate::api::SourceView;

/// The places that recovery points come from.
#[derive(Debug, Subcommand)]
pub(super) enum Source {
    /// List the sources.
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
                let client = connection.client(state)?;
                let sources: Vec<SourceView> =
                    client.post("/api/v1/sources/check", None::<&()>).await?;
                show(&sources, format)?;
                match sources.iter().map(|source| source.problems.len()).sum() {
                    0 => Ok(()),
                    problems => Err(found(&sources, problems)),
                }
            }
        }
    }
}

fn show(sources: &[SourceView], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return say_json(&sources);
    }
    let row = |source: &SourceView| {
        [
            source.source.clone(),
            source.vms.to_string(),
            source.points.to_string(),
            source.problems.len().to_string(),
        ]
    };
    say_table(
        ["SOURCE", "VMS", "POINTS", "PROBLEMS"],
        sources.iter().map(row),
        "No sources. Name one in itemlift.toml and restart the server.",
    )?;
    for problem in sources.iter().flat_map(|source| &source.problems) {
        super::output::say(&format!("\n{}", visible(problem)))?;
    }
    Ok(())
}

fn found(sources: &[SourceView], problems: usize) -> Failure {
    let affected = sources.iter().filter(|source| !source.problems.is_empty());
    Failure::new(
        "not everything in the sources can be used",
        format!("{problems} problem(s) in {} source(s)", affected.count()),
        "see the list",
    )
}
