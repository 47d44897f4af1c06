//! A grant as an iSCSI target: its logical units, and the disks behind them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use iscsi_proto::Target;
use iscsi_proto::blocks::{BlockSize, Geometry};
use iscsi_proto::scsi::{LogicalUnit, Lun};
use sha2::{Digest as _, Sha256};
use tracing::{error, info};

use super::places::{DiskKey, Places};
use super::reader::Medium;
use crate::grant::{GrantId, GrantState, GrantedDisk, LiveGrant};
use crate::point::{Catalog, Disk};

/// The targets of the grants that somebody has logged in to.
pub(super) struct Exports {
    catalog: Arc<Catalog>,
    places: Arc<Places>,
    by_grant: Mutex<HashMap<GrantId, Arc<Export>>>,
}

/// One grant's target. Lives as long as the grant; its disks are open while there are sessions.
pub(super) struct Export {
    pub(super) target: Arc<Target>,
    grant: Arc<LiveGrant>,
    media: Arc<tokio::sync::Mutex<Weak<Media>>>,
}

/// A grant's disks, by LUN.
pub(super) struct Media(HashMap<u16, Arc<Medium>>);

/// A grant that cannot be shown as a target.
#[derive(Debug, thiserror::Error)]
#[error("grant {grant} cannot be served: {why}")]
pub(super) struct Unservable {
    grant: GrantId,
    why: String,
}

impl Exports {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            catalog,
            places: Arc::default(),
            by_grant: Mutex::default(),
        }
    }

    pub(super) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The target of a grant. No image is opened for it: the sizes are the granted ones.
    pub(super) fn of(&self, grant: &Arc<LiveGrant>) -> Result<Arc<Export>, Unservable> {
        let mut by_grant = self.by_grant.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(export) = by_grant.get(&grant.id) {
            return Ok(Arc::clone(export));
        }
        // A grant that has ended is never asked for again.
        by_grant.retain(|_, export| export.grant.standing().state == GrantState::Active);
        let export = Arc::new(Export {
            target: Arc::new(target_of(grant)?),
            grant: Arc::clone(grant),
            media: Arc::default(),
        });
        by_grant.insert(grant.id.clone(), Arc::clone(&export));
        Ok(export)
    }

    /// The disks of a target, opened for the first of its sessions and closed after the last.
    pub(super) async fn open(&self, export: &Export) -> Arc<Media> {
        let mut shared = Arc::clone(&export.media).lock_owned().await;
        if let Some(media) = shared.upgrade() {
            return media;
        }
        let catalog = Arc::clone(&self.catalog);
        let grant = Arc::clone(&export.grant);
        let places = Arc::clone(&self.places);
        let place = places.opening(&grant.source).await;
        let opened = tokio::task::spawn_blocking(move || {
            let media = Arc::new(open_media(&catalog, &grant, &places));
            // The lock goes with the thread: while a source hangs, whoever comes and goes again leaves no second thread behind.
            *shared = Arc::downgrade(&media);
            drop(place);
            media
        });
        opened.await.unwrap_or_else(|error| {
            error!(grant = %export.grant.id, %error, "opening the disks was given up");
            Arc::new(Media(HashMap::new()))
        })
    }
}

impl Media {
    pub(super) fn medium(&self, lun: Lun) -> Option<&Arc<Medium>> {
        self.0.get(&u16::from(lun.number()?))
    }
}

fn target_of(grant: &LiveGrant) -> Result<Target, Unservable> {
    let unservable = |why: String| Unservable {
        grant: grant.id.clone(),
        why,
    };
    let units = grant
        .disks
        .iter()
        .map(|disk| logical_unit(grant, disk).map_err(unservable))
        .collect::<Result<Vec<_>, _>>()?;
    Target::new(&grant.iqn, units).map_err(|error| unservable(error.to_string()))
}

fn logical_unit(grant: &LiveGrant, disk: &GrantedDisk) -> Result<LogicalUnit, String> {
    let number = u8::try_from(disk.lun).map_err(|_| format!("LUN {} is over 255", disk.lun))?;
    let block_size = BlockSize::from_bytes(disk.sector_size)
        .ok_or_else(|| format!("sectors of {} bytes", disk.sector_size))?;
    let geometry =
        Geometry::from_bytes(disk.size, block_size).map_err(|error| error.to_string())?;
    Ok(LogicalUnit::new(
        number,
        geometry,
        &grant.vm,
        identity(grant, disk),
    ))
}

/// 64 bits that are this disk's in this grant alone, and stay the same for the grant's life. Hosts merge disks of one identity,
/// so two grants of one recovery point must differ.
fn identity(grant: &LiveGrant, disk: &GrantedDisk) -> u64 {
    let mut digest = Sha256::new();
    for part in [grant.id.as_str(), &grant.vm, &grant.point, &disk.name] {
        // The length in front keeps ("ab", "c") and ("a", "bc") apart.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update(disk.lun.to_be_bytes());
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Opens the recovery point's disks. One that is missing, or no longer what was granted, fails its reads and leaves the others alone.
fn open_media(catalog: &Catalog, grant: &LiveGrant, places: &Places) -> Media {
    let point = catalog.granted(&grant.source, &grant.vm, &grant.point);
    let open = |granted: &GrantedDisk| {
        let opened = match &point {
            Ok(point) => catalog.open_disk(point, &granted.name),
            Err(_) => return None,
        };
        opened
            .inspect_err(|error| error!(grant = %grant.id, %error, "a disk cannot be read"))
            .ok()
            .filter(|disk| is_as_granted(grant, granted, disk))
    };
    match &point {
        Ok(_) => {
            info!(grant = %grant.id, vm = grant.vm.as_str(), point = grant.point.as_str(), "recovery point opened")
        }
        Err(error) => error!(grant = %grant.id, %error, "the recovery point cannot be read"),
    }
    let media = grant.disks.iter().map(|granted| {
        let places = places.of(DiskKey {
            source: grant.source.clone(),
            vm: grant.vm.clone(),
            point: grant.point.clone(),
            disk: granted.name.clone(),
        });
        let medium = Medium::new(&granted.name, open(granted), places);
        (granted.lun, Arc::new(medium))
    });
    Media(media.collect())
}

/// The set of disks is frozen when the grant is made: serving another size would show a cut or grown disk as the recovery point.
fn is_as_granted(grant: &LiveGrant, granted: &GrantedDisk, disk: &Disk) -> bool {
    let info = disk.info();
    let same = info.size == granted.size && info.sector_size == granted.sector_size;
    if !same {
        error!(
            grant = %grant.id, disk = granted.name, granted = granted.size, found = info.size,
            "the disk is not what was granted; its reads fail",
        );
    }
    same
}
