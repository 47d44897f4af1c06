//! The audit log: one JSON line for each thing that happens to a grant, and for each verification.
//!
//! `{"time","event","grant","who","vm","point","address","chap","bytes_read","reason"}`; what is not known is left out.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde::Serialize;

use super::clock::Clock;
use super::live::{GrantId, LiveGrant};
use super::record::GrantRecord;
use super::strangers::Strangers;

/// Events waiting for the disk. A full queue loses events rather than hold up a read; the loss is written down.
const QUEUE: usize = 4096;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A grant was made.
    Created,
    /// A grant got another 12 hours.
    Renewed,
    /// An operator ended a grant.
    Revoked,
    /// A grant's time ran out.
    Expired,
    /// An initiator logged in.
    Login,
    /// A connection, a login or a request was turned away.
    Refused,
    /// A session ended.
    Closed,
    /// A recovery point was read to see whether it is damaged.
    Verified,
}

/// One line of the log.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "event")]
    pub what: What,
    /// To which grant, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// An operator's or an initiator's name, as they state it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The machine that was backed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// The recovery point's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// The peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The CHAP algorithm of a login, such as `SHA3-256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chap: Option<String>,
    /// Bytes that a session, all sessions of a grant, or a verification read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<u64>,
    /// Why, of a refusal or an end; what was found, of a verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Event {
    /// Something that concerns no grant that we know.
    pub fn new(what: What) -> Self {
        Self {
            what,
            grant: None,
            who: None,
            vm: None,
            point: None,
            address: None,
            chap: None,
            bytes_read: None,
            reason: None,
        }
    }

    /// Something that happened to a grant which is in use.
    pub fn of_live(what: What, grant: &LiveGrant) -> Self {
        Self {
            grant: Some(grant.id.clone()),
            vm: Some(grant.vm.clone()),
            point: Some(grant.point.clone()),
            ..Self::new(what)
        }
    }

    /// Something that happened to a grant.
    pub fn of(what: What, grant: &GrantRecord) -> Self {
        Self {
            grant: Some(grant.id.clone()),
            vm: Some(grant.vm.clone()),
            point: Some(grant.point.clone()),
            ..Self::new(what)
        }
    }
}

#[derive(Serialize)]
struct Line {
    time: Timestamp,
    #[serde(flatten)]
    event: Event,
}

enum Message {
    Line(Box<Line>),
    Flush(SyncSender<()>),
}

/// Events that did not get into the log.
#[derive(Default)]
struct Losses {
    /// Not yet told in the log itself.
    untold: AtomicU64,
    all: AtomicU64,
}

impl Losses {
    fn count(&self) {
        self.untold.fetch_add(1, Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
    }
}

/// `STATE/audit.log`. Dropping it writes what is still queued.
pub struct Audit {
    // Behind a lock only to be taken out on drop.
    queue: RwLock<Option<SyncSender<Message>>>,
    lost: Arc<Losses>,
    strangers: Mutex<Strangers>,
    writer: Option<JoinHandle<()>>,
    clock: Arc<dyn Clock>,
}

impl Audit {
    /// Opens the log for appending, mode 0600.
    ///
    /// # Errors
    /// The file cannot be opened or no thread started.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let (queue, lines) = sync_channel(QUEUE);
        let lost = Arc::new(Losses::default());
        let writer = std::thread::Builder::new().name("audit".into()).spawn({
            let lost = Arc::clone(&lost);
            move || write_lines(file, &lines, &lost)
        })?;
        Ok(Self {
            queue: RwLock::new(Some(queue)),
            lost,
            strangers: Mutex::default(),
            writer: Some(writer),
            clock,
        })
    }

    /// Queues an event. Never waits for the disk. Of refusals that concern no grant, a flood is told by its number.
    pub fn record(&self, event: Event) {
        let time = self.clock.now();
        let events = if event.what == What::Refused && event.grant.is_none() {
            let strangers = self.strangers.lock();
            let mut strangers = strangers.unwrap_or_else(PoisonError::into_inner);
            strangers.meet(event, time)
        } else {
            [None, Some(event)]
        };
        for event in events.into_iter().flatten() {
            self.queue(time, event);
        }
    }

    fn queue(&self, time: Timestamp, event: Event) {
        let line = Message::Line(Box::new(Line { time, event }));
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        if queue
            .as_ref()
            .is_none_or(|queue| queue.try_send(line).is_err())
        {
            self.lost.count();
        }
    }

    /// Events lost since the log was opened.
    pub fn lost(&self) -> u64 {
        self.lost.all.load(Ordering::Relaxed)
    }

    /// Waits until what was recorded so far is written. Blocks: not for the data plane.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        if queue
            .as_ref()
            .is_some_and(|queue| queue.send(Message::Flush(done)).is_ok())
        {
            // An error means that the writer has ended: then nothing is left to wait for.
            let _ = wait.recv();
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.queue
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = self.writer.take() {
            // The writer does not panic; if it ever did, there is nothing more to do here.
            let _ = writer.join();
        }
    }
}

fn write_lines(mut file: File, messages: &Receiver<Message>, lost: &Losses) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => {
                if let Err(error) = write_line(&mut file, &line) {
                    lost.count();
                    tracing::error!(%error, "cannot write to the audit log");
                    continue;
                }
            }
            Message::Flush(done) => {
                // Whoever asked may have gone away.
                let _ = done.send(());
            }
        }
        write_loss(&mut file, &lost.untold);
    }
}

fn write_line(file: &mut File, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    // One write for each line: O_APPEND keeps lines whole.
    file.write_all(&text)
}

/// Says how many events were lost, once there is room again.
fn write_loss(file: &mut File, lost: &AtomicU64) {
    let count = lost.swap(0, Ordering::Relaxed);
    if count == 0 {
        return;
    }
    tracing::warn!(count, "events were lost from the audit log");
    if writeln!(file, r#"{{"event":"lost","count":{count}}}"#).is_err() {
        lost.fetch_add(count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::clock::ManualClock;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn one_line_for_each_event_whatever_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let clock = Arc::new(ManualClock::new("2026-11-20T02:00:00Z".parse().unwrap()));
        let audit = Audit::open(&path, clock).unwrap();
        audit.record(Event {
            who: Some("iqn.evil\n{\"event\":\"created\"}".into()),
            address: Some("192.0.2.1:4711".parse().unwrap()),
            ..Event::new(What::Refused)
        });
        audit.flush();
        let read = lines(&path);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0]["time"], "2026-11-20T02:00:00Z");
        assert_eq!(read[0]["event"], "refused");
        assert_eq!(read[0]["address"], "192.0.2.1:4711");
        assert!(read[0].get("bytes_read").is_none());
    }

    #[test]
    fn a_drop_writes_what_is_queued_and_counts_what_was_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let clock = Arc::new(ManualClock::new("2026-11-20T02:00:00Z".parse().unwrap()));
        let audit = Audit::open(&path, clock).unwrap();
        let sent = 3 * QUEUE as u64;
        for _ in 0..sent {
            audit.record(Event::new(What::Login));
        }
        let counted = audit.lost();
        drop(audit);
        let read = lines(&path);
        let written = read.iter().filter(|line| line["event"] == "login").count() as u64;
        let lost: u64 = read.iter().filter_map(|line| line["count"].as_u64()).sum();
        assert_eq!(written + lost, sent);
        assert_eq!(lost, counted);
    }
}
