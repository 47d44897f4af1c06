//! `itemlift bench`: many sessions that read at one time, to measure a server under load.
//!
//! The client must not be what is measured: one task for each session, input into one buffer that is used again, headers
//! looked at once, data thrown away unless it is to be compared with a reference.

mod door;
mod histogram;
mod load;
mod report;
mod session;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chap::InvalidSecret;
use iscsi_proto::scsi::Lun;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::door::EntryError;
use self::door::{Door, Entered, enter_all};
pub use self::load::Pattern;
use self::load::{Load, Order};
pub use self::report::{Latency, Report, Spread};
use self::session::{Live, Session, Tally};
use crate::grant::credentials::NoRandomness;
use crate::initiator::Capacity;
use crate::open_files;
use crate::tunnel::{BundleError, ConnectError};

/// Open files of this process beside its sessions: the runtime's, standard streams, the reference.
const OTHER_FILES: u64 = 64;

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Bundles; sessions are spread over them.
    pub bundles: Vec<PathBuf>,
    /// A listener without TLS to connect to; else the bundle's portal.
    pub plain: Option<SocketAddr>,
    /// Sessions.
    pub sessions: usize,
    /// Reads that each keeps outstanding; 0: none ever.
    pub queue_depth: usize,
    /// The disk.
    pub lun: u8,
    /// Bytes of a read.
    pub block: u32,
    /// Their order.
    pub pattern: Pattern,
    /// How long.
    pub time: Duration,
    /// A raw image that holds what the disk has to hold.
    pub verify: Option<PathBuf>,
    /// Go on when the target asks for a logout, as an initiator that does not listen would.
    pub ignore_logout_request: bool,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// All sessions are logged in; reading begins.
    LoggedIn(Duration),
    /// Time since then, reads and errors so far.
    Reading(Duration, u64, u64),
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A bundle cannot be used.
    #[error(transparent)]
    Connector(#[from] ConnectError),
    /// A secret in a bundle cannot be used.
    #[error("a secret in {path:?} cannot be used: {source}; make a new bundle")]
    Secret {
        /// The bundle.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidSecret,
    },
    /// The grant of a bundle has no such disk.
    #[error("the grant of {path:?} has no LUN {lun}; it has {has}")]
    NoDisk {
        /// The bundle.
        path: PathBuf,
        /// The disk asked for.
        lun: u8,
        /// Numbers and names of those it has.
        has: String,
    },
    /// There is no bundle at all.
    #[error("there is no bundle to log in with")]
    NoBundle,
    /// The system would not let us open so many connections.
    #[error(
        "{sessions} sessions need {} open files and the system allows this process {limit}; raise the limit with `ulimit -n` as root",
        *sessions as u64 + OTHER_FILES
    )]
    OpenFiles {
        /// Sessions asked for.
        sessions: usize,
        /// The limit.
        limit: u64,
    },
    /// A session did not log in.
    #[error("session {number} of {count} did not log in: {why}")]
    Entry {
        /// Which.
        number: usize,
        /// Of how many.
        count: usize,
        /// Why.
        why: EntryError,
    },
    /// The disk cannot be read in such blocks.
    #[error(
        "reads of {block} bytes do not fit a disk of {blocks} blocks of {block_size} bytes; choose another --block"
    )]
    Block {
        /// Bytes of a read.
        block: u32,
        /// Blocks of the disk.
        blocks: u64,
        /// Bytes of each.
        block_size: u32,
    },
    /// The reference cannot be used.
    #[error("cannot compare with {path:?}: {why}; name a raw image of the disk that is read")]
    Reference {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Stopped before anything was read.
    #[error("interrupted before all sessions were logged in")]
    Interrupted,
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A thread of ours failed.
    #[error("a session's task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Logs in, reads until the time is up, `stop` or the end of the last session, logs out. What it measured is there in each case.
///
/// # Errors
/// [`BenchError`]: reading did not begin.
pub async fn run(
    plan: &Plan,
    stop: CancellationToken,
    mut progress: impl FnMut(Progress),
) -> Result<Report, BenchError> {
    let limit = open_files::raise_limit().unwrap_or(0);
    if limit < plan.sessions as u64 + OTHER_FILES {
        let sessions = plan.sessions;
        return Err(BenchError::OpenFiles { sessions, limit });
    }
    let open = |file: &PathBuf| Door::new(file, plan.plain, plan.lun);
    let doors = plan.bundles.iter().map(open).collect::<Result<_, _>>()?;
    let started = Instant::now();
    let lun = Lun::peripheral(plan.lun);
    let entered = tokio::select! {
        entered = enter_all(doors, plan.sessions, lun, plan.queue_depth) => entered?,
        () = stop.cancelled() => return Err(BenchError::Interrupted),
    };
    let login = started.elapsed();
    let load = load(plan, entered.first().map(|(_, capacity)| *capacity))?;
    progress(Progress::LoggedIn(login));
    let began = Instant::now();
    let (tallies, lasted) = read(plan, &load, entered, stop, began, progress).await?;
    Ok(Report::new(plan, login, began, lasted, &tallies))
}

/// The load that fits the disk.
fn load(plan: &Plan, capacity: Option<Capacity>) -> Result<Load, BenchError> {
    let capacity = capacity.ok_or(BenchError::NoBundle)?;
    let places = capacity.blocks * u64::from(capacity.block_size) / u64::from(plan.block.max(1));
    if !plan.block.is_multiple_of(capacity.block_size) || places == 0 {
        return Err(BenchError::Block {
            block: plan.block,
            blocks: capacity.blocks,
            block_size: capacity.block_size,
        });
    }
    let reference = plan.verify.as_ref().map(|path| {
        reference(path, capacity).map_err(|why| BenchError::Reference {
            path: path.clone(),
            why: why.to_string(),
        })
    });
    Ok(Load {
        lun: Lun::peripheral(plan.lun),
        pattern: plan.pattern,
        bytes: plan.block,
        blocks: plan.block / capacity.block_size,
        places,
        reference: reference.transpose()?.map(Arc::new),
    })
}

fn reference(path: &Path, capacity: Capacity) -> io::Result<File> {
    let file = File::open(path)?;
    let (ours, theirs) = (
        file.metadata()?.len(),
        capacity.blocks * u64::from(capacity.block_size),
    );
    if ours == theirs {
        Ok(file)
    } else {
        let why = format!("it holds {ours} bytes and the disk {theirs}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, why))
    }
}

/// All sessions at one time; what each did, and how long reading went on.
async fn read(
    plan: &Plan,
    load: &Load,
    entered: Vec<Entered>,
    stop: CancellationToken,
    began: Instant,
    mut progress: impl FnMut(Progress),
) -> Result<(Vec<Tally>, Duration), BenchError> {
    let mut lives = Vec::with_capacity(entered.len());
    let mut sessions = JoinSet::new();
    for (number, (pipeline, _)) in entered.into_iter().enumerate() {
        let live = Arc::new(Live::default());
        lives.push(Arc::clone(&live));
        let order = Order::new(load, number, plan.sessions);
        let session = Session::new(
            pipeline,
            load.clone(),
            order,
            plan.ignore_logout_request,
            live,
        );
        // A token of its own: sessions do not meet at its lock.
        sessions.spawn(session.run(stop.child_token()));
    }
    let sum = |of: fn(&Live) -> u64| lives.iter().map(|live| of(live)).sum::<u64>();
    let mut tallies = Vec::with_capacity(plan.sessions);
    let mut lasted = None;
    let mut time_is_up = std::pin::pin!(tokio::time::sleep(plan.time));
    let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
    loop {
        tokio::select! {
            one = sessions.join_next() => match one {
                Some(tally) => tallies.push(tally?),
                None => return Ok((tallies, lasted.unwrap_or_else(|| began.elapsed()))),
            },
            () = &mut time_is_up, if lasted.is_none() => stop.cancel(),
            () = stop.cancelled(), if lasted.is_none() => lasted = Some(began.elapsed()),
            _ = tick.tick(), if lasted.is_none() => progress(Progress::Reading(
                began.elapsed(),
                sum(|live| live.reads.load(Ordering::Relaxed)),
                sum(|live| live.errors.load(Ordering::Relaxed)),
            )),
        }
    }
}
