//! What of a recovery point is served when a disk of it cannot be opened.

use disk_image::OpenError;

use super::error::CatalogError;
use super::recovery_point::{DiskSource, RecoveryPoint};
use super::source::OpenedDisk;

/// All disks of a point to be served, number *n* as LUN *n*. A disk that is damaged keeps nobody from the others, as long as it is
/// certain that these are disks of their own: what the damaged one is based on may be unknown, and its base, an older state of
/// it, must not be taken for a disk.
///
/// # Errors
/// A disk cannot be opened for another reason than damage, none can be, or it is not certain.
pub(super) fn without_damaged(
    point: &RecoveryPoint,
    mut opened: Vec<OpenedDisk>,
) -> Result<Vec<OpenedDisk>, CatalogError> {
    let source = |disk: &OpenedDisk| point.disks.iter().find(|source| source.name == disk.name);
    let can_be_mended = |disk: &OpenedDisk| match &disk.disk {
        Err(error) => !error.fault.is_damage(),
        Ok(_) => false,
    };
    let hides_its_base = |disk: &OpenedDisk| {
        disk.disk.is_err() && source(disk).is_some_and(DiskSource::may_name_others)
    };
    let may_be_a_base =
        |disk: &OpenedDisk| disk.disk.is_ok() && source(disk).is_none_or(|disk| !disk.is_stated);
    let first = |is_meant: &dyn Fn(&OpenedDisk) -> bool| opened.iter().position(is_meant);
    let is_any_good = opened.iter().any(|disk| disk.disk.is_ok());
    let refused = first(&can_be_mended).or_else(|| first(&|_| !is_any_good));
    let uncertain = first(&hides_its_base).filter(|_| opened.iter().any(may_be_a_base));
    if let Some(error) = refused.and_then(|index| error_of(&mut opened, index)) {
        return Err(CatalogError::Open(error));
    }
    if let Some(error) = uncertain.and_then(|index| error_of(&mut opened, index)) {
        return Err(CatalogError::BaseUnknown(error));
    }
    Ok(opened)
}

fn error_of(opened: &mut Vec<OpenedDisk>, index: usize) -> Option<OpenError> {
    opened.swap_remove(index).disk.err()
}
