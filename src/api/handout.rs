//! What a grant is handed out as: a sealed, signed mount script, or a bundle.

use recovery_mount::{Password, Plan, PlanDisk, PlanNotServed, Randomness, Secrets, Signer};

use super::AppState;
use super::create_grant::{NotServed, Platform};
use crate::grant::Created;
use crate::grant::credentials::{NoRandomness, random};
use crate::tunnel::{Bundle, BundleCredentials, SecretText};

/// The file, and the password if it is sealed.
pub(super) struct Handout {
    pub(super) file_name: String,
    pub(super) content: String,
    pub(super) password: Option<String>,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandoutError {
    /// The generator failed.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The script could not be made.
    #[error(transparent)]
    Script(#[from] recovery_mount::ScriptError),
    /// The bundle could not be written.
    #[error("the bundle cannot be written as JSON: {0}")]
    Bundle(#[from] serde_json::Error),
    /// The script is not text.
    #[error("the script is not text: {0}")]
    Text(#[from] std::string::FromUtf8Error),
    /// Asked for what there is none of.
    #[error("there is no mount script for this platform")]
    Platform,
}

/// Makes the file for a grant, of whose recovery point these disks are not served. Takes some ten milliseconds of computing: not for an async worker.
pub(super) fn make(
    state: &AppState,
    created: Created,
    os: Platform,
    not_served: &[NotServed],
) -> Result<Handout, HandoutError> {
    match os {
        Platform::Linux => linux(state, created, not_served),
        Platform::Bundle => bundle(state, created),
        Platform::Windows => Err(HandoutError::Platform),
    }
}

fn linux(
    state: &AppState,
    created: Created,
    not_served: &[NotServed],
) -> Result<Handout, HandoutError> {
    let record = &created.record;
    let plan = Plan {
        site: state.site.to_string(),
        vm: record.vm.clone(),
        point: record.point.clone(),
        grant: record.id.to_string(),
        iqn: record.id.iqn(),
        portal: state.portal.to_string(),
        server_name: state.portal.host.clone(),
        ca_pem: state.authority.ca_pem().to_owned(),
        created_at: record.created_at.as_second(),
        expires_at: record.expires_at.as_second(),
        disks: record
            .disks
            .iter()
            .map(|disk| PlanDisk {
                lun: disk.lun,
                name: disk.name.clone(),
                size: disk.size,
                sector_size: disk.sector_size,
            })
            .collect(),
        not_served: not_served
            .iter()
            .map(|disk| PlanNotServed {
                lun: disk.lun,
                name: disk.name.clone(),
                reason: disk.reason.clone(),
            })
            .collect(),
    };
    let secrets = Secrets {
        initiator_user: created.chap.initiator_user.clone(),
        initiator_secret: created.chap.initiator_secret.clone(),
        target_user: created.chap.target_user.clone(),
        target_secret: created.chap.target_secret.clone(),
        client_cert_pem: created.identity.certificate_pem.clone(),
        client_key_pem: created.identity.key_pem.to_string(),
    };
    let password = Password::from_random(&random()?);
    let sign = |bytes: &[u8]| state.authority.sign(bytes).map_err(Into::into);
    let signer = Signer {
        certificate_der: state.authority.signing_certificate(),
        sign: &sign,
    };
    let randomness = Randomness { salt: random()? };
    let script = recovery_mount::linux_script(&plan, &secrets, &password, &randomness, &signer)?;
    Ok(Handout {
        file_name: script.file_name,
        content: String::from_utf8(script.bytes)?,
        password: Some(password.reveal().to_string()),
    })
}

fn bundle(state: &AppState, created: Created) -> Result<Handout, HandoutError> {
    let record = &created.record;
    let bundle = Bundle {
        grant: record.id.clone(),
        iqn: record.id.iqn(),
        portal: state.portal.to_string(),
        server_name: state.portal.host.clone(),
        ca_pem: state.authority.ca_pem().to_owned(),
        client_cert_pem: created.identity.certificate_pem.clone(),
        client_key_pem: SecretText::new(created.identity.key_pem.to_string()),
        initiator: BundleCredentials {
            user: created.chap.initiator_user.clone(),
            secret: SecretText::new(created.chap.initiator_secret.clone()),
        },
        target: BundleCredentials {
            user: created.chap.target_user.clone(),
            secret: SecretText::new(created.chap.target_secret.clone()),
        },
        expires_at: record.expires_at,
        disks: record.disks.clone(),
    };
    let mut content = serde_json::to_string_pretty(&bundle)?;
    content.push('\n');
    Ok(Handout {
        file_name: format!("itemlift_{}.json", record.id),
        content,
        password: None,
    })
}
