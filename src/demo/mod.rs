//! `itemlift demo`: the whole path, proven on this machine. Needs no root and nothing but mkfs.ext4.
//!
//! A disk is made, a server initialised and started, grants created by the command line as an operator would; then an initiator
//! of our own logs in through TLS and mutual CHAP, reads the whole disk and compares it with the image.

mod gpt;
mod image;
mod proof;
mod steps;
mod workplace;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::image::ImageError;
pub use self::proof::ProofError;
use self::steps::Steps;
pub use self::workplace::WorkplaceError;
use self::workplace::{Created, Workplace};
use crate::config::{Config, ConfigError};
use crate::init::{InitError, initialise};
use crate::interrupt::Interrupt;
use crate::server::{Server, StartError};
use crate::state_dir::StateDir;

/// The virtual machine of the demo.
const VM: &str = "web01";
/// Its recovery point.
const POINT: &str = "2026-11-20T02-00-00Z";

/// Prove the whole path on this machine, then serve until Ctrl-C.
#[derive(Debug, Args)]
#[command(
    after_help = "Makes a disk with a file system, a server, a grant and its mount script in a new temporary folder, \
    reads the disk back as an initiator and compares. Needs no root. The folder is removed at the end."
)]
pub struct Demo {
    /// Stop after the proof.
    #[arg(long)]
    once: bool,
    /// Work in this folder, which must be new or empty, and leave everything there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Why the demo did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder, or a command in it.
    #[error(transparent)]
    Workplace(#[from] WorkplaceError),
    /// The disk.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The state directory.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The configuration that we wrote ourselves.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A thread of ours.
    #[error("a part of the demo ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// Ctrl-C before the proof was done.
    #[error("interrupted before the proof was done")]
    Interrupted,
    /// Ctrl-C cannot be waited for, or standard output is gone.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] std::io::Error),
}

/// Runs the demo.
///
/// # Errors
/// One of its steps failed; the message says which and why.
pub async fn run(demo: Demo) -> Result<(), DemoError> {
    // First of all: whenever it comes, the folder is removed.
    let mut interrupt = Interrupt::listen()?;
    let workplace = Workplace::create(demo.keep)?;
    let mut proven = false;
    let outcome = tokio::select! {
        outcome = perform(&workplace, demo.once, &mut proven) => outcome,
        () = interrupt.wait() => Err(DemoError::Interrupted),
    };
    workplace.close()?;
    match outcome {
        Err(DemoError::Interrupted) if proven => Ok(()),
        outcome => outcome,
    }
}

/// All steps; then serves for ever, unless `once`.
async fn perform(workplace: &Workplace, once: bool, proven: &mut bool) -> Result<(), DemoError> {
    let started = Instant::now();
    let mut steps = Steps::begin()?;
    let digest = make_disk(workplace).await?;
    let size = image::DISK_SIZE >> 20;
    steps.done(&format!("made a {size} MiB disk: GPT, ext4, a few files"))?;
    let (server, stop) = serve(workplace).await?;
    // However this ends, sessions are told.
    let _stop = stop.drop_guard();
    steps.done(&format!("serving {VM} on {}", workplace.portal()))?;
    prove(workplace, digest, &mut steps).await?;
    let script = workplace.create_grant(VM, "linux").await?;
    steps.done(&format!(
        "created grant {} with its mount script",
        script.grant
    ))?;
    let seconds = started.elapsed().as_secs_f32();
    steps.say(&format!("\nProven in {seconds:.1} s.\n"))?;
    *proven = true;
    if once {
        // A script whose server is gone would only be tried in vain.
        return Ok(
            steps.say("Its server ends now. Run the demo without --once to use the script.")?
        );
    }
    show_script(&script, &mut steps)?;
    steps.say(&format!(
        "\nNext, on this machine, for the server listens on loopback alone:\n  sudo python3 {}",
        script.file.display()
    ))?;
    steps.say(&format!(
        "\nServing on {} until Ctrl-C.",
        workplace.portal()
    ))?;
    Ok(server.await?)
}

async fn make_disk(workplace: &Workplace) -> Result<[u8; 32], DemoError> {
    let image = workplace.new_point(VM, POINT)?.join("disk0.raw");
    let files = workplace.path().join("files");
    let made = tokio::task::spawn_blocking(move || image::make(&image, &files));
    Ok(made.await??)
}

async fn serve(workplace: &Workplace) -> Result<(JoinHandle<()>, CancellationToken), DemoError> {
    initialise(&workplace.state(), &["localhost".into()], "demo")?;
    workplace.write_config()?;
    let state = StateDir::open(&workplace.state()).map_err(InitError::State)?;
    let config = Config::load(&state.config())?;
    let server = Server::start(&state, &config).await?;
    let stop = CancellationToken::new();
    Ok((tokio::spawn(server.run(stop.clone())), stop))
}

/// A grant as a bundle, and the disk read through it.
async fn prove(
    workplace: &Workplace,
    digest: [u8; 32],
    steps: &mut Steps,
) -> Result<(), DemoError> {
    let bundle = workplace.create_grant(VM, "bundle").await?;
    steps.done(&format!("created grant {}", bundle.grant))?;
    let mut session = proof::log_in(&bundle.file).await?;
    steps.done(&format!(
        "logged in: {}, mutual CHAP with {}",
        session.tls, session.algorithm
    ))?;
    let mut read = Sha256::new();
    let bytes = session.read_disk(|piece| read.update(piece)).await?;
    session.log_out().await?;
    if <[u8; 32]>::from(read.finalize()) != digest {
        return Err(ProofError::Different.into());
    }
    steps.done(&format!(
        "read {} MiB, SHA-256 equal to the image's",
        bytes >> 20
    ))?;
    workplace.revoke_grant(&bundle.grant).await?;
    proof::is_refused(&bundle.file).await?;
    steps.done("revoked the grant: the server refuses it by name")?;
    Ok(())
}

/// A mount script, for the person who watches.
fn show_script(script: &Created, steps: &mut Steps) -> std::io::Result<()> {
    steps.say(&format!("  Script    {}", script.file.display()))?;
    if let Some(password) = &script.password {
        steps.say(&format!("  Password  {password}"))?;
    }
    Ok(())
}
