//! One session under load: keeps its reads outstanding, looks at what comes, counts.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::histogram::Histogram;
use super::load::{Check, Load, Order};
use crate::initiator::{InitiatorError, Pipeline, PipelineEvent, Sense};

/// How long the target may send nothing at the end, while reads are outstanding or until it answers the logout: what Linux gives
/// a command.
const LAST_ANSWERS_TIME: Duration = Duration::from_secs(30);

/// What others may look at while the session runs. On a cache line of its own, so that sessions do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Live {
    pub(super) reads: AtomicU64,
    pub(super) errors: AtomicU64,
}

/// What one session did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Good reads that ended in time.
    pub(super) reads: u64,
    pub(super) latency: Histogram,
    /// Errors by what they are.
    pub(super) errors: BTreeMap<String, u64>,
    /// The first byte of the disk that was not the reference's.
    pub(super) first_difference: Option<u64>,
    /// When the session ended, if nobody wanted it to.
    pub(super) ended_early: Option<Instant>,
}

/// A session and its load.
pub(super) struct Session<S> {
    pipeline: Pipeline<S>,
    load: Load,
    order: Order,
    check: Option<Check>,
    /// What stands in each slot of the pipeline.
    tasks: Vec<Task>,
    /// Go on when the target asks for a logout.
    stubborn: bool,
    /// The target has rejected a read: it gets no more, or the two would do nothing else.
    rejected: bool,
    live: Arc<Live>,
    tally: Tally,
}

#[derive(Clone, Copy)]
struct Task {
    /// Bytes from the start of the disk.
    start: u64,
    submitted: Instant,
    differs: bool,
}

impl<S> Session<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(
        pipeline: Pipeline<S>,
        load: Load,
        order: Order,
        stubborn: bool,
        live: Arc<Live>,
    ) -> Self {
        Self {
            pipeline,
            order,
            check: load.reference.clone().map(Check::new),
            load,
            tasks: Vec::new(),
            stubborn,
            rejected: false,
            live,
            tally: Tally::default(),
        }
    }

    /// Reads until `stop`, waits for what is outstanding and logs out.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Tally {
        match self.read_until(&stop).await {
            Ok(()) => {}
            Err(error) => {
                self.tally.ended_early = Some(Instant::now());
                let asked = matches!(error, InitiatorError::AskedToLogOut);
                self.error(error.to_string(), 1);
                if !asked {
                    return self.tally;
                }
            }
        }
        let mut tally = std::mem::take(&mut self.tally);
        let left = match timeout(LAST_ANSWERS_TIME, self.pipeline.log_out()).await {
            Ok(Ok(())) => return tally,
            Ok(Err(error)) => format!("logout: {error}"),
            Err(_) => "logout: no answer".to_owned(),
        };
        *tally.errors.entry(left).or_default() += 1;
        tally
    }

    async fn read_until(&mut self, stop: &CancellationToken) -> Result<(), InitiatorError> {
        let mut stopped = pin!(stop.cancelled());
        loop {
            self.submit();
            tokio::select! {
                biased;
                () = &mut stopped => break,
                exchanged = self.pipeline.exchange() => exchanged?,
            }
            self.look(true)?;
        }
        while self.pipeline.outstanding() > 0 {
            match timeout(LAST_ANSWERS_TIME, self.pipeline.exchange()).await {
                Ok(exchanged) => exchanged?,
                Err(_) => {
                    let left = self.pipeline.outstanding() as u64;
                    self.error("a read without an answer".to_owned(), left);
                    break;
                }
            }
            self.look(false)?;
        }
        Ok(())
    }

    fn submit(&mut self) {
        let submitted = Instant::now();
        while !self.rejected
            && let Some(slot) = self.pipeline.free_slot()
        {
            let load = &self.load;
            let place = self.order.next();
            let lba = place * u64::from(load.blocks);
            self.pipeline
                .submit(slot, load.lun, lba, load.blocks, load.bytes);
            let task = Task {
                start: place * u64::from(load.bytes),
                submitted,
                differs: false,
            };
            if slot >= self.tasks.len() {
                self.tasks.resize(slot + 1, task);
            }
            if let Some(place) = self.tasks.get_mut(slot) {
                *place = task;
            }
        }
    }

    /// Looks at everything that came. `counts`: good reads are counted.
    fn look(&mut self, counts: bool) -> Result<(), InitiatorError> {
        while let Some(event) = self.pipeline.poll_event()? {
            match event {
                PipelineEvent::Data {
                    slot,
                    offset,
                    bytes,
                } => {
                    let (Some(check), Some(task)) = (&mut self.check, self.tasks.get_mut(slot))
                    else {
                        continue;
                    };
                    let difference = check.difference(task.start + u64::from(offset), bytes)?;
                    task.differs |= difference.is_some();
                    let first = &mut self.tally.first_difference;
                    *first = first.or(difference);
                }
                PipelineEvent::Ended {
                    slot,
                    status,
                    sense,
                    whole,
                } => match self.error_of(slot, status, sense, whole) {
                    Some(error) => self.error(error, 1),
                    None if counts => self.good(slot),
                    None => {}
                },
                PipelineEvent::Rejected { reason, .. } => {
                    self.rejected = true;
                    self.error(InitiatorError::Rejected(reason).to_string(), 1);
                }
                PipelineEvent::AskedToLogOut if !self.stubborn => {
                    return Err(InitiatorError::AskedToLogOut);
                }
                PipelineEvent::AskedToLogOut | PipelineEvent::LoggedOut => {}
            }
        }
        Ok(())
    }

    fn error_of(
        &self,
        slot: usize,
        status: u8,
        sense: Option<Sense>,
        whole: bool,
    ) -> Option<String> {
        if status != 0 {
            // One kind, wherever it is.
            let sense = sense.map(|sense| Sense {
                information: None,
                ..sense
            });
            return Some(InitiatorError::Status { status, sense }.to_string());
        }
        if !whole {
            return Some("a read that gives too little".to_owned());
        }
        let differs = self.tasks.get(slot).is_some_and(|task| task.differs);
        differs.then(|| "wrong data".to_owned())
    }

    fn good(&mut self, slot: usize) {
        if let Some(task) = self.tasks.get(slot) {
            self.tally.latency.record(task.submitted.elapsed());
        }
        self.tally.reads += 1;
        self.live.reads.store(self.tally.reads, Ordering::Relaxed);
    }

    fn error(&mut self, kind: String, count: u64) {
        *self.tally.errors.entry(kind).or_default() += count;
        self.live.errors.fetch_add(count, Ordering::Relaxed);
    }
}
