//! `itemlift session`.

use std::path::Path;

use clap::Subcommand;

use super::client::Connection;
use super::failure::Failure;
use super::output::{Format, moment, say_json, say_table, size};
use crate::api::SessionView;

/// iSCSI sessions.
#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List the sessions there are now.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Session {
    pub(super) async fn run(self, state: &Path) -> Result<(), Failure> {
        let Self::List { format, connection } = self;
        let client = connection.client(state)?;
        let sessions: Vec<SessionView> = client.get("/api/v1/sessions", &[]).await?;
        if format == Format::Json {
            return say_json(&sessions);
        }
        let row = |session: &SessionView| {
            [
                session.grant.to_string(),
                session.vm.clone(),
                session.point.clone(),
                session.initiator.clone(),
                session.address.to_string(),
                moment(session.since),
                size(session.bytes_read),
            ]
        };
        say_table(
            [
                "GRANT",
                "VM",
                "POINT",
                "INITIATOR",
                "ADDRESS",
                "SINCE",
                "READ",
            ],
            sessions.iter().map(row),
            "No sessions.",
        )
    }
}
