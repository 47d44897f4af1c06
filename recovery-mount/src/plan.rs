//! What a script is to mount, and the checks that make it safe to write down.

use std::collections::BTreeSet;

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use thiserror::Error;

use crate::portal::{is_host, split_portal};

/// The most disks of one recovery point: LUNs 0 to 254 (SPEC §2).
const MAX_DISKS: usize = 255;
/// The largest disk, in bytes: 64 TiB (SPEC §2).
const MAX_DISK_BYTES: u64 = 64 << 40;
/// RFC 7143 §4.2.7.1: an iSCSI name is at most 223 bytes.
const MAX_IQN_BYTES: usize = 223;
/// Grant ids name files and udev rules on the recovery machine.
const MAX_GRANT_BYTES: usize = 64;
/// The longest name (VM, point, site, disk) that is written into a script, in bytes.
const MAX_NAME_BYTES: usize = 1024;
/// 2000-01-01 and 10000-01-01: the times that CMS and the header can show.
const TIMES: std::ops::Range<i64> = 946_684_800..253_402_300_800;

/// Everything about a grant that may be read without the password.
///
/// `site`, `vm`, `point` and the disks' names may hold any text; the other fields are checked by
/// [`linux_script`](crate::linux_script).
#[derive(Debug, Clone)]
pub struct Plan {
    /// Label of the itemlift installation, part of the script's file name.
    pub site: String,
    /// Name of the VM.
    pub vm: String,
    /// Id of the recovery point.
    pub point: String,
    /// Id of the grant: lower-case letters, digits and `-`.
    pub grant: String,
    /// iSCSI name of the grant's target.
    pub iqn: String,
    /// What the script connects to, `host:port`; an IPv6 address stands in brackets.
    pub portal: String,
    /// DNS name or IP address that the server's certificate must carry.
    pub server_name: String,
    /// PEM of the CA that the script pins.
    pub ca_pem: String,
    /// Unix time in seconds; also the signing time.
    pub created_at: i64,
    /// Unix time in seconds at which the grant ends unless it is renewed.
    pub expires_at: i64,
    /// The disks in LUN order.
    pub disks: Vec<PlanDisk>,
    /// Disks of the recovery point that the target does not serve; mostly none.
    pub not_served: Vec<PlanNotServed>,
}

/// One disk of the recovery point.
#[derive(Debug, Clone)]
pub struct PlanDisk {
    /// LUN at the target.
    pub lun: u16,
    /// The disk's name in the backup.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Logical sector size in bytes: 512, 1024, 2048 or 4096.
    pub sector_size: u32,
}

/// A disk of the recovery point that is damaged and that nobody can attach.
#[derive(Debug, Clone)]
pub struct PlanNotServed {
    /// The LUN that it would have.
    pub lun: u16,
    /// The disk's name in the backup.
    pub name: String,
    /// What is wrong with it, and what to do; a long one is cut.
    pub reason: String,
}

/// Why a plan cannot become a script.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// The grant id could not safely name a file.
    #[error("the grant id {0:?} is not 1 to 64 lower-case letters, digits and '-'")]
    Grant(String),
    /// Not an iSCSI name.
    #[error("{0:?} is not an iSCSI qualified name")]
    Iqn(String),
    /// The portal is not `host:port`.
    #[error("the portal {0:?} is not HOST:PORT")]
    Portal(String),
    /// Not a DNS name or an address.
    #[error("the server name {0:?} is neither a DNS name nor an address")]
    ServerName(String),
    /// The CA is not a PEM certificate.
    #[error("the CA is not a PEM certificate")]
    Ca,
    /// The times are out of order or out of range.
    #[error(
        "the grant's times are out of order or out of range: from {created_at} to {expires_at}"
    )]
    Times {
        /// The plan's `created_at`.
        created_at: i64,
        /// The plan's `expires_at`.
        expires_at: i64,
    },
    /// A name is longer than a script shows.
    #[error("a name is longer than {MAX_NAME_BYTES} bytes")]
    Name,
    /// No disk, or more than the LUNs there are.
    #[error("a plan has 1 to {MAX_DISKS} disks, not {0}")]
    DiskCount(usize),
    /// The LUNs do not rise from disk to disk, pass 254, or name a disk that is not served.
    #[error("LUN {0} is out of order, above 254 or meant twice")]
    Lun(u16),
    /// Size or sector size cannot be.
    #[error("disk {name:?} cannot have {size} bytes in sectors of {sector_size}")]
    Geometry {
        /// The disk's name.
        name: String,
        /// The disk's size in bytes.
        size: u64,
        /// The disk's sector size in bytes.
        sector_size: u32,
    },
}

/// A plan that holds no nonsense: the only form that a script is made from.
pub(crate) struct CheckedPlan<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) ca_der: CertificateDer<'static>,
}

impl<'a> CheckedPlan<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Result<Self, PlanError> {
        if !is_grant_id(&plan.grant) {
            return Err(PlanError::Grant(plan.grant.clone()));
        }
        if !is_iqn(&plan.iqn) {
            return Err(PlanError::Iqn(plan.iqn.clone()));
        }
        let (host, port) =
            split_portal(&plan.portal).ok_or_else(|| PlanError::Portal(plan.portal.clone()))?;
        if !is_host(&plan.server_name) {
            return Err(PlanError::ServerName(plan.server_name.clone()));
        }
        let ca_der =
            CertificateDer::from_pem_slice(plan.ca_pem.as_bytes()).map_err(|_| PlanError::Ca)?;
        let Plan {
            created_at,
            expires_at,
            ..
        } = *plan;
        if !TIMES.contains(&created_at) || !TIMES.contains(&expires_at) || expires_at <= created_at
        {
            return Err(PlanError::Times {
                created_at,
                expires_at,
            });
        }
        if [&plan.site, &plan.vm, &plan.point]
            .iter()
            .any(|name| name.len() > MAX_NAME_BYTES)
        {
            return Err(PlanError::Name);
        }
        check_disks(&plan.disks)?;
        check_not_served(&plan.not_served, &plan.disks)?;
        Ok(Self {
            plan,
            host,
            port,
            ca_der,
        })
    }
}

fn check_disks(disks: &[PlanDisk]) -> Result<(), PlanError> {
    if disks.is_empty() || disks.len() > MAX_DISKS {
        return Err(PlanError::DiskCount(disks.len()));
    }
    let mut next_lun = 0;
    for disk in disks {
        if disk.lun < next_lun || usize::from(disk.lun) >= MAX_DISKS {
            return Err(PlanError::Lun(disk.lun));
        }
        next_lun = disk.lun + 1;
        if disk.name.len() > MAX_NAME_BYTES {
            return Err(PlanError::Name);
        }
        let whole_sectors = matches!(disk.sector_size, 512 | 1024 | 2048 | 4096)
            && disk.size % u64::from(disk.sector_size) == 0;
        if !whole_sectors || disk.size == 0 || disk.size > MAX_DISK_BYTES {
            let (name, size, sector_size) = (disk.name.clone(), disk.size, disk.sector_size);
            return Err(PlanError::Geometry {
                name,
                size,
                sector_size,
            });
        }
    }
    Ok(())
}

fn check_not_served(not_served: &[PlanNotServed], disks: &[PlanDisk]) -> Result<(), PlanError> {
    let mut luns: BTreeSet<u16> = disks.iter().map(|disk| disk.lun).collect();
    for disk in not_served {
        if usize::from(disk.lun) >= MAX_DISKS || !luns.insert(disk.lun) {
            return Err(PlanError::Lun(disk.lun));
        }
        if disk.name.len() > MAX_NAME_BYTES {
            return Err(PlanError::Name);
        }
    }
    Ok(())
}

fn is_grant_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_GRANT_BYTES).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('-')
}

/// RFC 7143 §4.2.7: `iqn.`, and after normalization only lower-case letters, digits, `-`, `.` and `:` in ASCII.
fn is_iqn(name: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':')
    };
    name.len() <= MAX_IQN_BYTES
        && name.len() > 4
        && name.starts_with("iqn.")
        && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grant_ids_and_names() {
        assert!(is_grant_id("7f3a-0k"));
        for wrong in ["", "-a", "A", "a/b", "..", "a\n", &"a".repeat(65)] {
            assert!(!is_grant_id(wrong), "{wrong:?}");
        }
        assert!(is_iqn("iqn.2026-11.io.itemlift:7f3a"));
        for wrong in [
            "iqn.",
            "eui.0123",
            "iqn.2026-11.X",
            "iqn.2026-11.io.itemlift:a b",
        ] {
            assert!(!is_iqn(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn no_disk_is_both_served_and_not() {
        let served = PlanDisk {
            lun: 1,
            name: "d".into(),
            size: 512,
            sector_size: 512,
        };
        let check = |luns: &[u16], name: &str| {
            let disks = luns.iter().map(|lun| PlanNotServed {
                lun: *lun,
                name: name.into(),
                reason: "x".repeat(5000),
            });
            check_not_served(&disks.collect::<Vec<_>>(), std::slice::from_ref(&served))
        };
        assert_eq!(check(&[], ""), Ok(()));
        assert_eq!(check(&[2, 0, 254], "damaged"), Ok(()));
        assert_eq!(check(&[1], "d"), Err(PlanError::Lun(1)));
        assert_eq!(check(&[3, 3], "d"), Err(PlanError::Lun(3)));
        assert_eq!(check(&[255], "d"), Err(PlanError::Lun(255)));
        assert_eq!(check(&[0], &"x".repeat(1025)), Err(PlanError::Name));
    }

    #[test]
    fn disks_in_lun_order_with_whole_sectors() {
        let disk = |lun, size, sector_size| PlanDisk {
            lun,
            name: "d".into(),
            size,
            sector_size,
        };
        assert_eq!(
            check_disks(&[
                disk(0, 512, 512),
                disk(1, 1024, 1024),
                disk(2, 6144, 2048),
                disk(254, 4096, 4096)
            ]),
            Ok(())
        );
        assert_eq!(check_disks(&[]), Err(PlanError::DiskCount(0)));
        assert_eq!(
            check_disks(&[disk(1, 512, 512), disk(1, 512, 512)]),
            Err(PlanError::Lun(1))
        );
        assert_eq!(
            check_disks(&[disk(255, 512, 512)]),
            Err(PlanError::Lun(255))
        );
        for (size, sector_size) in [
            (0, 512),
            (513, 512),
            (512, 4096),
            (1 << 50, 512),
            (1024, 2048),
            (8192, 8192),
            (1024, 256),
        ] {
            assert!(matches!(
                check_disks(&[disk(0, size, sector_size)]),
                Err(PlanError::Geometry { .. })
            ));
        }
    }
}
