//! How grants end: by the clock, by an operator, or found ended at start.

use std::sync::{Arc, Weak};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::audit::{Event, What};
use super::clock::Clock;
use super::index::Entry;
use super::live::{GrantState, Standing};
use super::record::{ChapSecrets, GrantRecord};
use super::store::{StoreError, StoredGrant};
use super::{Caller, Grants, REMEMBERED};

/// Why a grant whose secrets cannot be opened is not served.
const DAMAGED: &str = "its stored secrets do not fit the key or the grant";

/// Ends each grant when its time has come, until the grants are dropped.
pub(super) async fn end_when_due(
    grants: Weak<Grants>,
    clock: Arc<dyn Clock>,
    changed: Arc<Notify>,
) {
    loop {
        let next = {
            let Some(grants) = grants.upgrade() else {
                return;
            };
            let _changing = grants.changing.lock().await;
            grants.end_due(grants.now()).await;
            grants.next_end()
        };
        match next {
            Some(at) => tokio::select! {
                () = clock.sleep_until(at) => {}
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}

impl Grants {
    /// Takes up the grants in the database.
    pub(super) async fn take_up(&self) -> Result<(), StoreError> {
        let now = self.now();
        self.store.forget(remembered_since(now)).await?;
        for stored in self.store.all().await? {
            let StoredGrant {
                record,
                secrets,
                bytes_read,
            } = stored;
            let entry = match secrets {
                None => Entry::ended(record, bytes_read),
                Some(sealed) => match self.unseal(record.clone(), sealed, bytes_read) {
                    Some(entry) => entry,
                    None => {
                        tracing::error!(grant = %record.id, "grant not taken up: {DAMAGED}");
                        let entry = Entry::ended(record, bytes_read);
                        self.end(&entry, GrantState::Revoked, now, None, Some(DAMAGED))
                            .await?;
                        continue;
                    }
                },
            };
            self.write_index().put(entry);
        }
        self.end_due(now).await;
        Ok(())
    }

    fn unseal(&self, record: GrantRecord, sealed: Vec<u8>, bytes_read: u64) -> Option<Entry> {
        let plain = self.key.open(&record.row(), &sealed).ok()?;
        let chap = ChapSecrets::from_bytes(&plain)?;
        Entry::active(record, &chap, sealed, bytes_read).ok()
    }

    /// Ends the grants whose time has come. A state that cannot be written is no reason to go on serving.
    pub(super) async fn end_due(&self, now: Timestamp) {
        let due: Vec<Entry> = self
            .read_index()
            .entries()
            .filter(|entry| entry.live.is_some() && entry.record.expires_at <= now)
            .cloned()
            .collect();
        for entry in due {
            if let Err(error) = self.end(&entry, GrantState::Expired, now, None, None).await {
                tracing::error!(grant = %entry.record.id, %error, "an expired grant's state was not kept");
            }
        }
        self.forget_old(remembered_since(now)).await;
    }

    /// Ends a grant: first for its sessions, then in the audit log, then in the database, which may be slow or fail.
    pub(super) async fn end(
        &self,
        entry: &Entry,
        state: GrantState,
        at: Timestamp,
        by: Option<&Caller>,
        reason: Option<&str>,
    ) -> Result<Arc<GrantRecord>, StoreError> {
        let mut record = GrantRecord::clone(&entry.record);
        record.state = state;
        record.ended_at = Some(at);
        let bytes_read = entry.bytes_read();
        let ended = Entry::ended(record, bytes_read);
        let record = Arc::clone(&ended.record);
        self.write_index().put(ended);
        if let Some(live) = &entry.live {
            live.standing.send_replace(Standing {
                state,
                expires_at: record.expires_at,
            });
        }
        let what = match state {
            GrantState::Expired => What::Expired,
            GrantState::Revoked | GrantState::Active => What::Revoked,
        };
        self.audit.record(Event {
            who: by.map(|by| by.name.clone()),
            address: by.and_then(|by| by.address),
            bytes_read: Some(bytes_read),
            reason: reason.map(str::to_owned),
            ..Event::of(what, &record)
        });
        self.store.end(&record.id, state, at, bytes_read).await?;
        Ok(record)
    }

    async fn forget_old(&self, before: Timestamp) {
        let old: Vec<_> = self
            .read_index()
            .entries()
            .filter(|entry| entry.record.ended_at.is_some_and(|ended| ended < before))
            .map(|entry| entry.record.id.clone())
            .collect();
        if old.is_empty() {
            return;
        }
        if let Err(error) = self.store.forget(before).await {
            tracing::error!(%error, "old grants were not deleted");
            return;
        }
        let mut index = self.write_index();
        for id in old {
            index.remove(&id);
        }
    }

    fn next_end(&self) -> Option<Timestamp> {
        self.read_index()
            .entries()
            .filter(|entry| entry.live.is_some())
            .map(|entry| entry.record.expires_at)
            .min()
    }
}

fn remembered_since(now: Timestamp) -> Timestamp {
    now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN)
}
