//! Scripts for the tests of this crate, signed with keys that are made once for each test process.

use std::path::PathBuf;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
    SigningKey as _, date_time_ymd,
};
use recovery_mount::{
    Password, Plan, PlanDisk, Randomness, Script, ScriptError, Secrets, Signer, linux_script,
};

/// The CA that the scripts pin, the certificate that it gave the signer, and the signer's key.
static KEYS: LazyLock<Keys> = LazyLock::new(Keys::generate);

/// A moment within the life of the certificates (2020 to 2060), and of the plans.
pub(crate) const NOW: i64 = 1_795_223_109;
pub(crate) const PASSWORD: &str = "00000-11111-22222-zzzzz";

struct Keys {
    ca_pem: String,
    signer_certificate: Certificate,
    signer_key: KeyPair,
}

impl Keys {
    fn generate() -> Self {
        let (ca_certificate, ca) = certificate_authority("itemlift test CA");
        let signer_key = rsa_key();
        let mut params = certificate("itemlift test signer");
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::EmailProtection,
            ExtendedKeyUsagePurpose::CodeSigning,
        ];
        Self {
            ca_pem: ca_certificate.pem(),
            signer_certificate: params.signed_by(&signer_key, &ca).unwrap(),
            signer_key,
        }
    }
}

fn certificate_authority(name: &str) -> (Certificate, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = certificate(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.self_signed(&key).unwrap(), Issuer::new(params, key))
}

fn certificate(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2060, 1, 1);
    params
}

/// A key as the signer has one.
pub(crate) fn rsa_key() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072).unwrap()
}

/// The CA's certificate, PEM.
pub(crate) fn ca() -> &'static str {
    &KEYS.ca_pem
}

/// The certificate of a CA that signed nothing, PEM.
pub(crate) fn other_ca() -> String {
    certificate_authority("another CA").0.pem()
}

pub(crate) fn plan() -> Plan {
    Plan {
        site: "local".into(),
        vm: "web01".into(),
        point: "2026-11-20T02-00-00Z".into(),
        grant: "7f3k-x2".into(),
        iqn: "iqn.2026-11.io.itemlift:7f3k-x2".into(),
        portal: "recovery.example.com:3260".into(),
        server_name: "recovery.example.com".into(),
        ca_pem: ca().into(),
        created_at: NOW,
        expires_at: NOW + 12 * 3600,
        disks: vec![PlanDisk {
            lun: 0,
            name: "root".into(),
            size: 1 << 30,
            sector_size: 512,
        }],
        not_served: Vec::new(),
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
    make_with(plan, &KEYS.signer_key)
}

/// A script that `key` signs in the name of the signer, whose key it need not be.
pub(crate) fn make_with(plan: &Plan, key: &KeyPair) -> Result<Script, ScriptError> {
    let signer = Signer {
        certificate_der: KEYS.signer_certificate.der(),
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
    std::fs::write(folder.path().join("ca.pem"), ca()).unwrap();
    (folder, path)
}
