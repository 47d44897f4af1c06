//! `itemlift init`.

use std::path::Path;

use clap::Args;

use super::client::state_failure;
use super::failure::Failure;
use super::output::say;
use crate::init::{InitError, initialise};

/// Make a state directory: certificates, keys, configuration.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  itemlift init --state /var/lib/itemlift --host recovery.example.com --site berlin"
)]
pub(super) struct Init {
    /// A name or address that clients reach this server by; the first one is what mount scripts connect to. Default: this machine's name.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// A short name of this place, part of each mount script's file name.
    #[arg(long, value_name = "LABEL", default_value = "local")]
    site: String,
}

impl Init {
    pub(super) async fn run(self, state: &Path) -> Result<(), Failure> {
        const WHAT: &str = "no server was set up";
        let path = state.to_owned();
        let made = tokio::task::spawn_blocking(move || initialise(&path, &self.hosts, &self.site));
        let made = made.await.map_err(|error| Failure::new(WHAT, error, ""))?;
        let state = made.map_err(|error| match error {
            InitError::State(error) => state_failure(WHAT, &error),
            InitError::Host(_) | InitError::Site(_) => {
                Failure::new(WHAT, error, "correct it and try again")
            }
            InitError::Authority(_) | InitError::Random(_) => Failure::new(
                WHAT,
                error,
                "see that the disk works and the clock is right",
            ),
        })?;
        say(&format!(
            "Set up a server in {state}.\n\nNext:\n  1. name your sources in {config}\n  2. itemlift serve --state {state}",
            state = state.path().display(),
            config = state.config().display(),
        ))
    }
}
