//! Scripts made with fixed keys, for the tests of this crate.

use std::path::PathBuf;

use rcgen::{KeyPair, SigningKey as _};
use recovery_mount::{
    Password, Plan, PlanDisk, Randomness, Script, ScriptError, Secrets, Signer, linux_script,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

pub(crate) const CA: &str = include_str!("../fixtures/ca.pem");
/// A moment within the life of the certificates, and of the plans.
pub(crate) const NOW: i64 = 1_795_223_109;
pub(crate) const PASSWORD: &str = "00000-11111-22222-zzzzz";

pub(crate) fn plan() -> Plan {
    Plan {
        site: "local".into(),
        vm: "web01".into(),
        point: "2026-11-20T02-00-00Z".into(),
        grant: "7f3k-x2".into(),
        iqn: "iqn.2026-11.io.itemlift:7f3k-x2".into(),
        portal: "recovery.example.com:3260".into(),
        server_name: "recovery.example.com".into(),
        ca_pem: CA.into(),
        created_at: NOW,
        expires_at: NOW + 12 * 3600,
        disks: vec![PlanDisk {
            lun: 0,
            name: "root".into(),
            size: 1 << 30,
            sector_size: 512,
        }],
    }
}

pub(crate) fn secrets() -> Secrets {
    Secrets {
        initiator_user: "u-7f3k".into(),
        initiator_secret: "abcdefghijkl_-01".into(),
        target_user: "t-7f3k".into(),
        target_secret: "ABCDEFGHIJKL_-99".into(),
        client_cert_pem: "-----BEGIN CERTIFICATE-----\n".into(),
        client_key_pem: "-----BEGIN PRIVATE KEY-----\n".into(),
    }
}

pub(crate) fn make(plan: &Plan) -> Result<Script, ScriptError> {
    let key = KeyPair::from_pem(include_str!("../fixtures/signer.key")).unwrap();
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("../fixtures/signer.pem")).unwrap();
    let signer = Signer {
        certificate_der: &certificate,
        sign: &|message| key.sign(message).map_err(Into::into),
    };
    let password = Password::parse(PASSWORD).unwrap();
    linux_script(
        plan,
        &secrets(),
        &password,
        &Randomness { salt: [0x5a; 32] },
        &signer,
    )
}

pub(crate) fn text(script: &Script) -> &str {
    std::str::from_utf8(&script.bytes).unwrap()
}

/// A folder for one test, with the script and the CA in it.
pub(crate) fn folder_with(script: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.py");
    std::fs::write(&path, script).unwrap();
    std::fs::write(folder.path().join("ca.pem"), CA).unwrap();
    (folder, path)
}
