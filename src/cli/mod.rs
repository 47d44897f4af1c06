//! The `itemlift` command: one file for each subcommand.

mod bench;
mod client;
mod failure;
mod grant;
mod handout;
mod init;
mod output;
mod point;
mod progress;
mod script;
mod serve;
mod session;
mod show_point;
mod source;
mod time;
mod tunnel;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::Failure;
use crate::{demo, telemetry};

/// Exit status of a command that failed. Usage errors are clap's 2.
const FAILED: u8 = 1;

#[derive(Debug, Parser)]
#[command(
    name = "itemlift",
    version,
    about = "Gets single files back out of VM backups",
    after_help = "Try it on this machine, without root:\n  itemlift demo\n\n\
        Set up a server:\n  itemlift init --state /var/lib/itemlift --host recovery.example.com\n  \
        $EDITOR /var/lib/itemlift/itemlift.toml      # name your sources\n  itemlift serve\n\n\
        Get a file back:\n  itemlift point list --vm web01\n  \
        itemlift grant create --vm web01 --os linux --out .",
    arg_required_else_help = true
)]
struct Cli {
    /// The server's state directory.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "ITEMLIFT_STATE",
        default_value = "/var/lib/itemlift"
    )]
    state: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a state directory: certificates, keys, configuration.
    Init(init::Init),
    /// Run the server.
    Serve,
    /// Prove the whole path on this machine, then serve until Ctrl-C.
    Demo(demo::Demo),
    /// The places that recovery points come from.
    #[command(subcommand)]
    Source(source::Source),
    /// Recovery points.
    #[command(subcommand)]
    Point(point::Point),
    /// Permissions to read a recovery point.
    #[command(subcommand)]
    Grant(grant::Grant),
    /// iSCSI sessions.
    #[command(subcommand)]
    Session(session::Session),
    /// Mount scripts.
    #[command(subcommand)]
    Script(script::Script),
    /// Listen on loopback and carry iSCSI to the server over TLS.
    Tunnel(tunnel::Tunnel),
    /// Read with many sessions at one time and measure.
    Bench(bench::Bench),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start(match cli.command {
        Command::Serve => telemetry::SERVER,
        _ => telemetry::COMMAND,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                "itemlift does not start",
                error,
                "see that the system's limits on threads and open files are not reached",
            )
        });
    let done = runtime.and_then(|runtime| {
        let done = runtime.block_on(dispatch(cli));
        // A read that hangs in a dead network mount must not keep the process.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("itemlift: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let state = &cli.state;
    match cli.command {
        Command::Init(init) => init.run(state).await,
        Command::Serve => serve::run(state).await,
        Command::Demo(demo) => demo::run(demo)
            .await
            .map_err(|error| Failure::new("the demo did not succeed", error, "")),
        Command::Source(source) => source.run(state).await,
        Command::Point(point) => point.run(state).await,
        Command::Grant(grant) => grant.run(state).await,
        Command::Session(session) => session.run(state).await,
        Command::Script(script) => script.run(state),
        Command::Tunnel(tunnel) => tunnel.run().await,
        Command::Bench(bench) => bench.run().await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
