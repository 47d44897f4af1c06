//! Logs: text on a terminal, JSON otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What a server logs when `ITEMLIFT_LOG` says nothing: our own news, and what goes wrong elsewhere.
pub const SERVER: &str = "warn,itemlift=info";

/// What a command logs: what goes wrong. It has standard output for its news.
pub const COMMAND: &str = "warn";

/// They tell what they sign and what they were configured with, credentials included: no filter makes them say more than what goes wrong.
/// Each place without credentials is a warning of reqsign's; that none has any is an error of the source.
const DISCREET: [&str; 3] = ["opendal=warn", "openssh=warn", "reqsign=error"];

/// Starts logging to standard error. `ITEMLIFT_LOG` filters it as `RUST_LOG` does elsewhere, e.g. `itemlift=debug`;
/// else `filter` does.
pub fn start(filter: &str) {
    let asked = std::env::var("ITEMLIFT_LOG").unwrap_or_default();
    let (filter, fault) = match EnvFilter::try_new(&asked) {
        Ok(wanted) if !asked.is_empty() => (wanted, None),
        Ok(_) => (EnvFilter::new(filter), None),
        Err(fault) => (EnvFilter::new(filter), Some(fault)),
    };
    let discreet = DISCREET.iter().filter_map(|rule| rule.parse().ok());
    let filter = discreet.fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        // The list would hold the span a second time.
        log.json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init()
    };
    // A second start, in a process that already logs, changes nothing.
    drop(started);
    if let Some(fault) = fault {
        tracing::warn!(
            %fault,
            "ITEMLIFT_LOG={asked:?} is not understood, so it is not followed: write it as itemlift=debug"
        );
    }
}
