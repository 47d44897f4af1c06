//! All grants, in memory, by what they are looked up by.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::live::{GrantId, LiveGrant, Standing};
use super::record::{ChapSecrets, Fingerprint, GrantRecord};

/// A grant as the index holds it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) record: Arc<GrantRecord>,
    /// Only while it is active.
    pub(super) live: Option<Arc<LiveGrant>>,
    /// The secrets as they stand in the database, to be bound to a new end on renewal. Only while it is active.
    pub(super) sealed: Option<Vec<u8>>,
    /// Of one that ended: what its sessions had read by then.
    pub(super) bytes_read: u64,
}

impl Entry {
    /// An active grant.
    pub(super) fn active(
        record: GrantRecord,
        chap: &ChapSecrets,
        sealed: Vec<u8>,
        bytes_read: u64,
    ) -> Result<Self, chap::InvalidSecret> {
        let live = LiveGrant {
            id: record.id.clone(),
            iqn: record.id.iqn(),
            vm: record.vm.clone(),
            point: record.point.clone(),
            source: record.source.clone(),
            initiator: chap.initiator()?,
            target: chap.target()?,
            disks: record.disks.clone(),
            bytes_read: bytes_read.into(),
            standing: watch::Sender::new(Standing {
                state: record.state,
                expires_at: record.expires_at,
            }),
        };
        Ok(Self {
            record: Arc::new(record),
            live: Some(Arc::new(live)),
            sealed: Some(sealed),
            bytes_read: 0,
        })
    }

    /// A grant that ended.
    pub(super) fn ended(record: GrantRecord, bytes_read: u64) -> Self {
        Self {
            record: Arc::new(record),
            live: None,
            sealed: None,
            bytes_read,
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.live
            .as_ref()
            .map_or(self.bytes_read, |live| live.bytes_read())
    }
}

/// The grants.
#[derive(Default)]
pub(super) struct Index {
    grants: HashMap<GrantId, Entry>,
    fingerprints: HashMap<Fingerprint, GrantId>,
}

impl Index {
    /// Adds a grant or replaces what is known of it.
    pub(super) fn put(&mut self, entry: Entry) {
        let id = entry.record.id.clone();
        self.fingerprints
            .insert(entry.record.fingerprint, id.clone());
        self.grants.insert(id, entry);
    }

    /// Forgets a grant.
    pub(super) fn remove(&mut self, id: &GrantId) {
        if let Some(entry) = self.grants.remove(id) {
            self.fingerprints.remove(&entry.record.fingerprint);
        }
    }

    pub(super) fn get(&self, id: &GrantId) -> Option<&Entry> {
        self.grants.get(id)
    }

    pub(super) fn by_fingerprint(&self, fingerprint: &Fingerprint) -> Option<&Entry> {
        self.grants.get(self.fingerprints.get(fingerprint)?)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.grants.values()
    }

    pub(super) fn active(&self) -> usize {
        self.entries().filter(|entry| entry.live.is_some()).count()
    }

    pub(super) fn records(&self) -> Vec<Arc<GrantRecord>> {
        self.entries()
            .map(|entry| Arc::clone(&entry.record))
            .collect()
    }
}
