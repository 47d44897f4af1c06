//! The one owner of the grants' state.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use tokio::sync::{Mutex, Notify};

use super::audit::{Audit, Event, What};
use super::authority::Authority;
use super::clock::Clock;
use super::ending::end_when_due;
use super::error::GrantError;
use super::index::{Entry, Index};
use super::live::{GrantId, GrantState, LiveGrant, Refusal, Standing};
use super::record::{ChapSecrets, Fingerprint, GrantRecord, grant_of_user};
use super::seal::SealingKey;
use super::store::{Store, StoreError};
use super::{Caller, Created, LIFETIME, MAX_ACTIVE, MAX_DISKS, NewGrant, SHORTEST_LIFETIME};

/// All grants of a server.
pub struct Grants {
    pub(super) store: Store,
    pub(super) key: SealingKey,
    authority: Arc<Authority>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) audit: Arc<Audit>,
    index: RwLock<Index>,
    /// Held over a change, so that database and memory agree.
    pub(super) changing: Mutex<()>,
    /// Wakes the timer: the next end may be another one now.
    pub(super) changed: Arc<Notify>,
}

impl Grants {
    /// Opens the state database and takes up the grants in it. Starts the timer that ends grants, so it must run inside tokio.
    ///
    /// # Errors
    /// The database cannot be opened, is another version's, or does not fit the key.
    pub async fn open(
        database: &Path,
        key: SealingKey,
        authority: Arc<Authority>,
        clock: Arc<dyn Clock>,
        audit: Arc<Audit>,
    ) -> Result<Arc<Self>, StoreError> {
        let store = Store::open(database, &key).await?;
        let grants = Arc::new(Self {
            store,
            key,
            authority,
            clock,
            audit,
            index: RwLock::default(),
            changing: Mutex::new(()),
            changed: Arc::new(Notify::new()),
        });
        grants.take_up().await?;
        tokio::spawn(end_when_due(
            Arc::downgrade(&grants),
            Arc::clone(&grants.clock),
            Arc::clone(&grants.changed),
        ));
        Ok(grants)
    }

    /// Makes a grant.
    ///
    /// # Errors
    /// The lifetime or the disks are out of range, there are too many grants, or the state cannot be written.
    pub async fn create(&self, new: NewGrant) -> Result<Created, GrantError> {
        if !(SHORTEST_LIFETIME..=LIFETIME).contains(&new.lifetime) {
            return Err(GrantError::Lifetime);
        }
        if !(1..=MAX_DISKS).contains(&new.disks.len()) {
            return Err(GrantError::Disks(new.disks.len()));
        }
        let _changing = self.changing.lock().await;
        if self.read_index().active() >= MAX_ACTIVE {
            return Err(GrantError::TooMany);
        }
        let now = self.now();
        let id = GrantId::generate()?;
        let identity = self.authority.issue_client(&id, now)?;
        let chap = ChapSecrets::generate(&id)?;
        let record = GrantRecord {
            id,
            vm: new.vm,
            point: new.point,
            source: new.source,
            disks: new.disks,
            fingerprint: identity.fingerprint,
            created_at: now,
            created_by: new.by.name,
            expires_at: self.end_of(new.lifetime),
            state: GrantState::Active,
            ended_at: None,
        };
        let sealed = self.key.seal(&record.row(), &chap.to_bytes())?;
        self.store.insert(&record, &sealed).await?;
        let entry = Entry::active(record, &chap, sealed, 0)?;
        let record = Arc::clone(&entry.record);
        self.write_index().put(entry);
        self.changed.notify_one();
        self.audit.record(Event {
            who: Some(record.created_by.clone()),
            address: new.by.address,
            ..Event::of(What::Created, &record)
        });
        Ok(Created {
            record,
            chap,
            identity,
        })
    }

    /// All grants that are remembered, oldest first.
    pub fn list(&self) -> Vec<Arc<GrantRecord>> {
        let mut records = self.read_index().records();
        records.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        records
    }

    /// One grant.
    ///
    /// # Errors
    /// [`GrantError::Unknown`].
    pub fn show(&self, id: &GrantId) -> Result<Arc<GrantRecord>, GrantError> {
        let index = self.read_index();
        let entry = index
            .get(id)
            .ok_or_else(|| GrantError::Unknown(id.clone()))?;
        Ok(Arc::clone(&entry.record))
    }

    /// Starts another [`LIFETIME`] from now.
    ///
    /// # Errors
    /// The grant is unknown or ended, or the state cannot be written.
    pub async fn renew(
        &self,
        id: &GrantId,
        by: impl Into<Caller>,
    ) -> Result<Arc<GrantRecord>, GrantError> {
        let by = by.into();
        let _changing = self.changing.lock().await;
        let now = self.now();
        self.end_due(now).await;
        let old = self.entry(id)?;
        let (Some(live), Some(sealed)) = (&old.live, &old.sealed) else {
            return Err(GrantError::NotActive {
                id: id.clone(),
                state: old.record.state,
            });
        };
        let mut record = GrantRecord::clone(&old.record);
        record.expires_at = self.end_of(LIFETIME).max(record.expires_at);
        let secrets = self.key.open(&old.record.row(), sealed)?;
        let sealed = self.key.seal(&record.row(), &secrets)?;
        self.store.renew(id, record.expires_at, &sealed).await?;
        let record = Arc::new(record);
        self.write_index().put(Entry {
            record: Arc::clone(&record),
            live: Some(Arc::clone(live)),
            sealed: Some(sealed),
            bytes_read: 0,
        });
        live.standing.send_replace(Standing {
            state: GrantState::Active,
            expires_at: record.expires_at,
        });
        self.changed.notify_one();
        self.audit.record(Event {
            who: Some(by.name),
            address: by.address,
            ..Event::of(What::Renewed, &record)
        });
        Ok(record)
    }

    /// Ends a grant at once. One that ended already stays as it is.
    ///
    /// # Errors
    /// The grant is unknown; or it ended but that could not be written ([`GrantError::EndNotKept`]).
    pub async fn revoke(
        &self,
        id: &GrantId,
        by: impl Into<Caller>,
    ) -> Result<Arc<GrantRecord>, GrantError> {
        let by = by.into();
        let _changing = self.changing.lock().await;
        let now = self.now();
        self.end_due(now).await;
        let old = self.entry(id)?;
        if old.live.is_none() {
            return Ok(Arc::clone(&old.record));
        }
        let ended = self
            .end(&old, GrantState::Revoked, now, Some(&by), None)
            .await;
        ended.map_err(|error| GrantError::EndNotKept {
            id: id.clone(),
            error,
        })
    }

    /// The grant of a client certificate. From memory; the clock decides even if the timer is late.
    ///
    /// # Errors
    /// Why the caller is turned away.
    pub fn by_certificate(
        &self,
        certificate: &CertificateDer<'_>,
    ) -> Result<Arc<LiveGrant>, Refusal> {
        let fingerprint = Fingerprint::of(certificate);
        let index = self.read_index();
        self.usable(index.by_fingerprint(&fingerprint))
    }

    /// The grant of a CHAP user name. From memory.
    ///
    /// # Errors
    /// Why the caller is turned away.
    pub fn by_user(&self, user: &str) -> Result<Arc<LiveGrant>, Refusal> {
        let index = self.read_index();
        self.usable(grant_of_user(user).and_then(|id| index.get(&id)))
    }

    /// The facts of a client certificate's grant whatever its state: for a refusal that says whose it was.
    pub fn record_of_certificate(
        &self,
        certificate: &CertificateDer<'_>,
    ) -> Option<Arc<GrantRecord>> {
        let index = self.read_index();
        let entry = index.by_fingerprint(&Fingerprint::of(certificate))?;
        Some(Arc::clone(&entry.record))
    }

    /// Bytes that the grant's sessions have read. What they read since the start of a server that is killed is forgotten.
    pub fn bytes_read(&self, id: &GrantId) -> u64 {
        self.read_index().get(id).map_or(0, Entry::bytes_read)
    }

    /// The audit log.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes what is kept until a stop, and closes the state database. Changes after this fail; lookups still work.
    pub async fn close(&self) {
        let _changing = self.changing.lock().await;
        let active: Vec<_> = self
            .read_index()
            .entries()
            .filter(|entry| entry.live.is_some())
            .map(|entry| (entry.record.id.clone(), entry.bytes_read()))
            .collect();
        if let Err(error) = self.store.count(&active).await {
            tracing::error!(%error, "how much was read by each grant was not kept");
        }
        self.store.close().await;
    }

    fn usable(&self, entry: Option<&Entry>) -> Result<Arc<LiveGrant>, Refusal> {
        let entry = entry.ok_or(Refusal::Unknown)?;
        match (entry.record.state, &entry.live) {
            (GrantState::Active, Some(live)) if self.clock.now() < entry.record.expires_at => {
                Ok(Arc::clone(live))
            }
            (GrantState::Revoked, _) => Err(Refusal::Revoked),
            _ => Err(Refusal::Expired),
        }
    }

    fn entry(&self, id: &GrantId) -> Result<Entry, GrantError> {
        self.read_index()
            .get(id)
            .cloned()
            .ok_or_else(|| GrantError::Unknown(id.clone()))
    }

    /// The time, cut to the milliseconds that the database keeps.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// The end of a lifetime that begins now, in whole seconds: easy to show and to parse. A part of a second counts as one.
    fn end_of(&self, lifetime: Duration) -> Timestamp {
        let end = self.clock.now().checked_add(lifetime);
        let end = end.unwrap_or(Timestamp::MAX);
        let part = i64::from(end.subsec_nanosecond() != 0);
        Timestamp::from_second(end.as_second() + part).unwrap_or(Timestamp::MAX)
    }

    // Nothing panics while it holds the lock, so a poisoned index is still whole.
    pub(super) fn read_index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write_index(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("active", &self.read_index().active())
            .finish_non_exhaustive()
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        // Lets the timer see that there is nothing left to end.
        self.changed.notify_one();
    }
}
