//! `itemlift serve`.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::client::state_failure;
use super::failure::Failure;
use super::output::say;
use crate::config::Config;
use crate::open_files;
use crate::server::{Server, StartError};
use crate::state_dir::StateDir;
use crate::target::limits::CONNECTIONS;

const WHAT: &str = "the server did not start";

/// Open files with which the limits of the server are met before the system's: every connection, and as many image files.
const ENOUGH_FILES: u64 = 2 * CONNECTIONS as u64;

/// Open files that image files leave to everything else: every connection, the state database, logs. Of few files, half.
const FILES_FOR_OTHERS: u64 = CONNECTIONS as u64 + 256;

/// Runs the server until SIGTERM, SIGINT or Ctrl-C.
pub(super) async fn run(path: &Path) -> Result<(), Failure> {
    let state = StateDir::open(path).map_err(|error| state_failure(WHAT, &error))?;
    let config = Config::load(&state.config())
        .map_err(|error| Failure::new(WHAT, error, "correct the configuration"))?;
    raise_open_files();
    let stop = CancellationToken::new();
    // Before the ready line: whoever waits for that may send a signal at once.
    stop_on_signal(stop.clone())?;
    let server = Server::start(&state, &config)
        .await
        .map_err(|error| start_failure(&error))?;
    if config.source.is_empty() {
        tracing::warn!(
            "no sources, so there is nothing to recover: name one in {} and restart the server",
            state.config().display()
        );
    }
    // A source that hangs lets a start take seconds, in which a signal may come.
    if !stop.is_cancelled() {
        say(&ready(&server))?;
        tell_service_manager("READY=1");
    }
    server.run(stop).await;
    tracing::info!("stopped");
    Ok(())
}

fn raise_open_files() {
    let raised = open_files::raise_limit();
    if let Ok(limit) = &raised {
        disk_image::allow_open_files(limit - FILES_FOR_OTHERS.min(limit / 2));
    }
    match raised {
        Ok(limit) if limit < ENOUGH_FILES => tracing::warn!(
            "the system allows this server {limit} open files, so connections or disks may be refused under load: \
            allow {ENOUGH_FILES}, with `LimitNOFILE=` in a systemd unit or `ulimit -n`"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit on open files was not raised"),
    }
}

fn ready(server: &Server) -> String {
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let plain = server
        .plain_address()
        .map(|address| format!(", without TLS on {address}"))
        .unwrap_or_default();
    format!(
        "itemlift is ready: listening on {}{plain}; mount scripts connect to {}",
        addresses.join(", "),
        server.portal(),
    )
}

fn stop_on_signal(stop: CancellationToken) -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::new(WHAT, error, "see the system's limits"));
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: sessions are told to log out");
        tell_service_manager("STOPPING=1");
        stop.cancel();
    });
    Ok(())
}

fn start_failure(error: &StartError) -> Failure {
    let advice = match error {
        StartError::State(error) => return state_failure(WHAT, error),
        // These sentences say what to do.
        StartError::Bind(_) | StartError::Catalog(_) => "",
        StartError::Key(_) | StartError::Token(_) => {
            "restore it from a backup of the state directory"
        }
        StartError::Authority(_) => "restore the keys from a backup of the state directory",
        StartError::Store(crate::grant::StoreError::WrongKey) => {
            "put back the state.db and the keys that belong together"
        }
        StartError::Store(_) => {
            "restore state.db from a backup, or move it away, which ends all grants"
        }
        StartError::Audit(_) => "see that the file is writable",
        StartError::Tls(_) => "correct `hosts` and `advertise` in itemlift.toml",
        StartError::Seal(_) | StartError::Sources(_) => "try again",
    };
    Failure::new(WHAT, error, advice)
}

/// sd_notify(3): tells systemd, if it waits for us (`Type=notify`), how far we are.
fn tell_service_manager(news: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match path.as_bytes().split_first() {
        Some((b'@', name)) => UnixAddress::from_abstract_name(name),
        _ => UnixAddress::from_pathname(&path),
    };
    let told = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(news.as_bytes(), &address));
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager was not told: {news}");
    }
}
