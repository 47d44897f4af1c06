//! The registry of sessions: handles, reinstatement, orders from one session to another, the list for `session list`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iscsi_proto::{Reset, SessionIdentity, SessionKind, Tsih};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::limits::{REINSTATEMENT_TIME, SESSIONS};
use super::orders::{Commander, Order, Orders, orders};
use crate::grant::GrantId;

/// All sessions of the data plane. Looked at when a session begins or ends and by `session list`, never by a read.
#[derive(Debug)]
pub struct Sessions {
    limit: usize,
    registry: Mutex<Registry>,
}

/// One session, as `session list` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// Target session identifying handle.
    pub tsih: u16,
    /// The grant that it reads.
    pub grant: GrantId,
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id.
    pub point: String,
    /// The initiator's name.
    pub initiator: String,
    /// The initiator's part of the session id, 12 hexadecimal digits.
    pub isid: String,
    /// `normal` or `discovery`.
    pub kind: &'static str,
    /// The peer. Behind a tunnel, the tunnel's address.
    pub address: SocketAddr,
    /// Whether the connection is under TLS.
    pub tls: bool,
    /// When it logged in.
    pub since: Timestamp,
    /// SCSI commands taken.
    pub commands: u64,
    /// Bytes sent as data of READ commands.
    pub bytes_read: u64,
}

/// Who logs in, and from where.
pub(super) struct Newcomer {
    pub(super) identity: SessionIdentity,
    pub(super) grant: GrantId,
    pub(super) vm: String,
    pub(super) point: String,
    pub(super) address: SocketAddr,
    pub(super) tls: bool,
}

/// A session's place in the registry. Dropping it ends the session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) tsih: Tsih,
    pub(super) counters: Arc<Counters>,
    pub(super) orders: Orders,
    sessions: Arc<Sessions>,
    gone: CancellationToken,
}

/// What a session has done so far.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commands: AtomicU64,
    pub(super) bytes_read: AtomicU64,
}

#[derive(Debug, Default)]
struct Registry {
    by_tsih: HashMap<Tsih, Entry>,
    by_identity: HashMap<SessionIdentity, Tsih>,
    last: u16,
}

#[derive(Debug)]
struct Entry {
    identity: SessionIdentity,
    info: SessionInfo,
    counters: Arc<Counters>,
    orders: Commander,
    gone: CancellationToken,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new(SESSIONS)
    }
}

impl Sessions {
    /// A registry for `limit` sessions at one time.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.min(SESSIONS),
            registry: Mutex::default(),
        }
    }

    /// The sessions there are now, the oldest handle first.
    pub fn list(&self) -> Vec<SessionInfo> {
        let mut list: Vec<_> = self.lock().by_tsih.values().map(Entry::info).collect();
        list.sort_by_key(|info| (info.since, info.tsih));
        list
    }

    /// How many there are now, by kind.
    pub fn numbers(&self) -> [(&'static str, u64); 2] {
        let registry = self.lock();
        let of = |kind| {
            let sessions = registry.by_tsih.values();
            sessions.filter(|entry| entry.identity.kind == kind).count() as u64
        };
        [
            ("normal", of(SessionKind::Normal)),
            ("discovery", of(SessionKind::Discovery)),
        ]
    }

    /// Enters a session. One of the same identity ends first (session reinstatement, RFC 7143 §6.3.5).
    /// `None`: there are too many sessions.
    pub(super) async fn establish(self: &Arc<Self>, newcomer: Newcomer) -> Option<Session> {
        let deadline = Instant::now() + REINSTATEMENT_TIME;
        loop {
            let gone = {
                let mut registry = self.lock();
                let old = registry.same_as(&newcomer.identity).map(|old| {
                    old.orders.give(Order::Reinstated);
                    old.gone.clone()
                });
                match old {
                    Some(gone) if Instant::now() < deadline => gone,
                    // Where there is one, its connection hangs. Its handle is its own until it ends.
                    _ => return registry.enter(self, newcomer),
                }
            };
            // In time or not: the next round finds out.
            let _ = timeout_at(deadline, gone.cancelled()).await;
        }
    }

    /// Hands a reset to the other sessions of the same target.
    pub(super) fn reset_others(&self, session: &Session, reset: Reset) {
        let registry = self.lock();
        let Some(target) = registry
            .by_tsih
            .get(&session.tsih)
            .map(|entry| &entry.identity.target)
        else {
            return;
        };
        for (tsih, entry) in &registry.by_tsih {
            if *tsih != session.tsih && entry.identity.target == *target {
                entry.orders.give(Order::Reset(reset));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // No step in between leaves the registry half changed.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn same_as(&self, identity: &SessionIdentity) -> Option<&Entry> {
        self.by_tsih.get(self.by_identity.get(identity)?)
    }

    fn enter(&mut self, sessions: &Arc<Sessions>, newcomer: Newcomer) -> Option<Session> {
        if self.by_tsih.len() >= sessions.limit {
            return None;
        }
        let tsih = self.free_handle();
        let (commander, orders) = orders();
        let counters = Arc::new(Counters::default());
        let gone = CancellationToken::new();
        self.by_identity.insert(newcomer.identity.clone(), tsih);
        self.by_tsih.insert(
            tsih,
            Entry {
                info: newcomer.info(tsih),
                identity: newcomer.identity,
                counters: Arc::clone(&counters),
                orders: commander,
                gone: gone.clone(),
            },
        );
        Some(Session {
            tsih,
            counters,
            orders,
            sessions: Arc::clone(sessions),
            gone,
        })
    }

    /// The next handle after the last one given, so that a stale one is not soon somebody else's. There is a free one: [`SESSIONS`]
    /// is the number of handles, and fewer are in use.
    fn free_handle(&mut self) -> Tsih {
        loop {
            self.last = self.last.wrapping_add(1);
            if let Some(number) = NonZeroU16::new(self.last) {
                let tsih = Tsih(number);
                if !self.by_tsih.contains_key(&tsih) {
                    return tsih;
                }
            }
        }
    }
}

impl Newcomer {
    fn info(&self, tsih: Tsih) -> SessionInfo {
        SessionInfo {
            tsih: tsih.0.get(),
            grant: self.grant.clone(),
            vm: self.vm.clone(),
            point: self.point.clone(),
            initiator: self.identity.initiator.to_string(),
            isid: self.identity.isid.to_string(),
            kind: match self.identity.kind {
                SessionKind::Normal => "normal",
                SessionKind::Discovery => "discovery",
            },
            address: self.address,
            tls: self.tls,
            since: Timestamp::now(),
            commands: 0,
            bytes_read: 0,
        }
    }
}

impl Entry {
    fn info(&self) -> SessionInfo {
        SessionInfo {
            commands: self.counters.commands.load(Ordering::Relaxed),
            bytes_read: self.counters.bytes_read.load(Ordering::Relaxed),
            ..self.info.clone()
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut registry = self.sessions.lock();
        if let Some(entry) = registry.by_tsih.remove(&self.tsih)
            && registry.by_identity.get(&entry.identity) == Some(&self.tsih)
        {
            registry.by_identity.remove(&entry.identity);
        }
        drop(registry);
        self.gone.cancel();
    }
}

#[cfg(test)]
mod tests {
    use iscsi_proto::{InitiatorName, Isid, TargetName};

    use super::*;

    fn newcomer() -> Newcomer {
        let target = "iqn.2026-11.io.itemlift:abcdefgh2345";
        Newcomer {
            identity: SessionIdentity {
                initiator: InitiatorName::parse("iqn.1993-08.org.debian:01:abc").unwrap(),
                isid: Isid([0x40, 0, 0, 0, 0, 1]),
                target: TargetName::parse(target).unwrap(),
                kind: SessionKind::Normal,
                named: true,
            },
            grant: "abcdefgh2345".parse().unwrap(),
            vm: "web01".into(),
            point: "p".into(),
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            tls: false,
        }
    }

    /// Two that have waited long enough for one that hangs: the second of them finds the first in its place.
    #[tokio::test]
    async fn every_session_but_the_last_of_an_identity_is_told_to_end() {
        let sessions = Arc::new(Sessions::default());
        let hangs = sessions.establish(newcomer()).await.unwrap();
        let (one, other) = tokio::join!(
            sessions.establish(newcomer()),
            sessions.establish(newcomer())
        );
        let mut all = [hangs, one.unwrap(), other.unwrap()];
        all.sort_by_key(|session| session.tsih);
        let told = all.each_ref().map(|session| session.orders.take().len());
        assert_eq!(told, [1, 1, 0]);
        let [hangs, one, last] = all;
        drop((hangs, one));
        assert_eq!(sessions.list().len(), 1);
        let next = tokio::spawn(async move { sessions.establish(newcomer()).await });
        tokio::task::yield_now().await;
        assert_eq!(last.orders.take(), [Order::Reinstated]);
        drop(last);
        assert!(next.await.unwrap().is_some());
    }
}
