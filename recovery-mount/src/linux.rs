//! The Linux script: header, Python modules, plan and sealed secrets as one signed file.

mod assembly;
mod header;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::certificate::SignerCertificate;
use crate::cms::Signed;
use crate::password::Password;
use crate::plan::{CheckedPlan, Plan, PlanError};
use crate::quote::{file_name_piece, python_literal};
use crate::seal::{self, ITERATIONS, Randomness, Sealed, Secrets};
use crate::sign::{SignError, Signer, sign};

/// Characters of a string literal on one line of the script.
const LITERAL_WIDTH: usize = 96;

/// Characters of the reason why a disk is not served: it may hold long paths.
const MAX_REASON: usize = 600;

/// A finished script.
#[derive(Debug, Clone)]
pub struct Script {
    /// `VM_SITE_GRANT.py`, in characters that every file system takes.
    pub file_name: String,
    /// The file's content, ASCII.
    pub bytes: Vec<u8>,
}

/// Why there is no script.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// The plan is not one.
    #[error("the plan cannot become a script: {0}")]
    Plan(#[from] PlanError),
    /// It could not be signed.
    #[error("the script could not be signed: {0}")]
    Sign(#[from] SignError),
    /// The secrets could not be written as JSON; our bug.
    #[error("the secrets could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Makes the mount script for Linux: Python 3.6 and later, standard library only.
///
/// The same arguments give the same bytes.
pub fn linux_script(
    plan: &Plan,
    secrets: &Secrets,
    password: &Password,
    random: &Randomness,
    signer: &Signer<'_>,
) -> Result<Script, ScriptError> {
    let checked = CheckedPlan::new(plan)?;
    let file_name = file_name(plan);
    let plaintext = Zeroizing::new(serde_json::to_vec(secrets)?);
    let sealed = seal::seal(
        &plaintext,
        password,
        random.salt,
        associated_data(&checked).as_bytes(),
    );
    let text = [
        header::header(&checked, &file_name),
        assembly::program(),
        plan_literal(&checked),
        sealed_literal(&sealed),
        signature_literal(plan, signer)?,
        assembly::START.to_owned(),
    ]
    .concat();
    let bytes = sign(&text, plan.created_at, signer)?.into_bytes();
    Ok(Script { file_name, bytes })
}

fn file_name(plan: &Plan) -> String {
    format!(
        "{}_{}_{}.py",
        file_name_piece(&plan.vm),
        file_name_piece(&plan.site),
        plan.grant
    )
}

/// What the box is tied to: grant, target and the server that the script pins.
fn associated_data(checked: &CheckedPlan<'_>) -> String {
    let pin = hex(&Sha256::digest(&checked.ca_der));
    [checked.plan.grant.as_str(), &checked.plan.iqn, &pin].join("\n")
}

fn plan_literal(checked: &CheckedPlan<'_>) -> String {
    let plan = checked.plan;
    let mut literal = String::from("\n\n# ---- What this script mounts ----\n\nPLAN = {\n");
    for (key, value) in [
        ("site", &plan.site),
        ("vm", &plan.vm),
        ("point", &plan.point),
        ("grant", &plan.grant),
        ("iqn", &plan.iqn),
        ("server_name", &plan.server_name),
    ] {
        literal.push_str(&format!("    \"{key}\": {},\n", python_literal(value)));
    }
    literal.push_str(&format!(
        "    \"host\": {},\n    \"port\": {},\n",
        python_literal(checked.host),
        checked.port
    ));
    literal.push_str(&format!(
        "    \"created_at\": {},\n    \"expires_at\": {},\n    \"disks\": [\n",
        plan.created_at, plan.expires_at
    ));
    for disk in &plan.disks {
        let (lun, name, size, sector_size) = (
            disk.lun,
            python_literal(&disk.name),
            disk.size,
            disk.sector_size,
        );
        literal.push_str(&format!(
            "        {{\"lun\": {lun}, \"name\": {name}, \"size\": {size}, \"sector_size\": {sector_size}}},\n"
        ));
    }
    literal.push_str("    ],\n    \"not_served\": [\n");
    for disk in &plan.not_served {
        let (lun, name) = (disk.lun, python_literal(&disk.name));
        let reason: String = disk.reason.chars().take(MAX_REASON).collect();
        literal.push_str(&format!(
            "        {{\"lun\": {lun}, \"name\": {name}, \"reason\": {}}},\n",
            python_literal(&reason)
        ));
    }
    literal.push_str("    ],\n    \"ca_der\": ");
    literal.push_str(&wrapped(&BASE64.encode(&checked.ca_der)));
    literal.push_str(",\n}\n");
    literal
}

fn sealed_literal(sealed: &Sealed) -> String {
    format!(
        "\nSEALED = {{\n    \"iterations\": {ITERATIONS},\n    \"salt\": {},\n    \"tag\": {},\n    \"ciphertext\": {},\n}}\n",
        python_literal(&hex(&sealed.salt)),
        python_literal(&hex(&sealed.tag)),
        wrapped(&BASE64.encode(&sealed.ciphertext)),
    )
}

/// The signer's key and where in the signature block its parts are, for the script's check of itself.
fn signature_literal(plan: &Plan, signer: &Signer<'_>) -> Result<String, SignError> {
    let certificate =
        SignerCertificate::parse(signer.certificate_der).ok_or(SignError::Certificate)?;
    let draft = Signed::unsigned(signer.certificate_der, plan.created_at)
        .encode()
        .ok_or(SignError::Certificate)?;
    Ok(format!(
        "\nSIGNATURE = {{\n    \"attributes_at\": {},\n    \"attributes_len\": {},\n    \"digest_at\": {},\n    \
         \"signature_at\": {},\n    \"exponent\": \"{}\",\n    \"modulus\": {},\n}}\n",
        draft.attributes_at,
        draft.to_be_signed.len(),
        draft.digest_at,
        draft.signature_at,
        hex(certificate.exponent),
        wrapped(&hex(certificate.modulus)),
    ))
}

/// A long string of harmless characters as adjacent literals in parentheses.
fn wrapped(text: &str) -> String {
    let mut literal = String::from("(");
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(LITERAL_WIDTH).unwrap_or((rest, ""));
        literal.push_str("\n        ");
        literal.push_str(&python_literal(line));
        rest = after;
    }
    literal.push_str("\n    )");
    literal
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
