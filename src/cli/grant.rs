//! `itemlift grant`.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::client::{Client, Connection};
use super::failure::Failure;
use super::handout::Place;
use super::output::{Format, left, moment, say, say_json, say_table, size, visible};
use super::time::lifetime;
use crate::api::{CreateGrant, CreatedGrant, GrantView, Platform};
use crate::grant::{GrantId, GrantState};

/// Permissions to read a recovery point.
#[derive(Debug, Subcommand)]
pub(super) enum Grant {
    /// Make a grant, and write its mount script or bundle.
    Create(Create),
    /// List grants, oldest first; those that ended are remembered for 90 days.
    List {
        /// Only those that may be used now.
        #[arg(long)]
        active: bool,
        /// How to print.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a grant.
    Show(One),
    /// Start another 12 hours; the mount script stays valid.
    Renew(One),
    /// End a grant at once: sessions are closed within 5 seconds, new connections refused.
    Revoke(One),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  itemlift grant create --vm web01 --os linux --out .\n  \
    itemlift grant create --vm web01 --point 2026-11-20T02-00-00Z --os bundle \\\n      \
    --out web01.json --lifetime 2h\n\n\
    The password is shown once. It is stored nowhere."
)]
pub(super) struct Create {
    /// The machine that was backed up.
    #[arg(long)]
    vm: String,
    /// The recovery point's id, or `latest`.
    #[arg(long, value_name = "ID", default_value = "latest")]
    point: String,
    /// What to write: a mount script for this system, or connection details for an initiator of your own.
    #[arg(long, value_enum)]
    os: Os,
    /// The file to write, or the folder to write it into.
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// How long it lasts: up to 12h.
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = lifetime)]
    lifetime: Duration,
    /// Replace a file that is there already.
    #[arg(long)]
    replace: bool,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Os {
    /// A mount script for Linux.
    Linux,
    /// A mount script for Windows (not in this version).
    Windows,
    /// Connection details as JSON, unsealed.
    Bundle,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The grant's id.
    id: GrantId,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

impl Grant {
    pub(super) async fn run(self, state: &Path) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(state).await,
            Self::List {
                active,
                format,
                connection,
            } => {
                let client = connection.client(state)?;
                let mut grants: Vec<GrantView> = client.get("/api/v1/grants", &[]).await?;
                grants.retain(|grant| !active || grant.state == GrantState::Active);
                list(&grants, format)
            }
            Self::Show(one) => {
                let client = one.connection.client(state)?;
                let path = format!("/api/v1/grants/{}", one.id);
                let grant: GrantView = client.get(&path, &[]).await?;
                show(&grant, one.format)
            }
            Self::Renew(one) => one.change(state, "renew").await,
            Self::Revoke(one) => one.change(state, "revoke").await,
        }
    }
}

impl One {
    async fn change(self, state: &Path, how: &str) -> Result<(), Failure> {
        let client = self.connection.client(state)?;
        let path = format!("/api/v1/grants/{}/{how}", self.id);
        let grant: GrantView = client.post(&path, None::<&()>).await?;
        show(&grant, self.format)
    }
}

impl Create {
    async fn run(self, state: &Path) -> Result<(), Failure> {
        let place = Place::find(&self.out, self.replace)?;
        let client = self.connection.client(state)?;
        let asked = CreateGrant {
            vm: self.vm.clone(),
            point: self.point.clone(),
            os: match self.os {
                Os::Linux => Platform::Linux,
                Os::Windows => Platform::Windows,
                Os::Bundle => Platform::Bundle,
            },
            lifetime_seconds: Some(self.lifetime.as_secs()),
        };
        let created: CreatedGrant = client.post("/api/v1/grants", Some(&asked)).await?;
        // A script is run, a bundle is read; both by their owner alone.
        let mode = match self.os {
            Os::Linux | Os::Windows => 0o700,
            Os::Bundle => 0o600,
        };
        let content = created.content.as_bytes();
        match place.write(&created.file_name, mode, content, self.replace) {
            Ok(file) => match self.report(&created, &file) {
                Err(error) => {
                    // Nobody has seen the password.
                    let _ = std::fs::remove_file(&file);
                    Err(take_back(&client, &created, "the grant was not told", error, "").await)
                }
                Ok(()) => Ok(()),
            },
            Err(error) => {
                const ADVICE: &str = "name another place with --out; ";
                Err(take_back(&client, &created, "the file was not written", error, ADVICE).await)
            }
        }
    }

    fn report(&self, created: &CreatedGrant, file: &Path) -> Result<(), Failure> {
        if self.format == Format::Json {
            let mut told = json!({
                "grant": created.grant,
                "expires_at": created.expires_at,
                "password": created.password,
                "file": file,
                "iqn": created.iqn,
            });
            if !created.not_served.is_empty() {
                told["not_served"] = json!(created.not_served);
            }
            return say_json(&told);
        }
        let mut text = format!(
            "Grant {} for VM {}, recovery point {}, until {}.\n\n",
            created.grant,
            visible(&created.vm),
            visible(&created.point),
            moment(created.expires_at),
        );
        for disk in &created.not_served {
            text.push_str(&format!(
                "  Damaged   LUN {}, {}, is not served: {}\n\n",
                disk.lun,
                visible(&disk.name),
                visible(&disk.reason),
            ));
        }
        let shown = visible(&file.display().to_string());
        match &created.password {
            Some(password) => text.push_str(&format!(
                "  Script    {shown}\n  Password  {password}    (shown this once)\n\n\
                 Copy the script to the recovery machine and run it there as root; it asks for the password."
            )),
            None => text.push_str(&format!(
                "  Bundle    {shown}    (holds secrets in the clear: keep it private)\n\n\
                 Next:\n  itemlift tunnel --bundle {shown}"
            )),
        }
        say(&text)
    }
}

/// Revokes a grant whose file could not be written, or whose password could not be shown: nobody can use it.
async fn take_back(
    client: &Client,
    created: &CreatedGrant,
    what: &str,
    error: impl Display,
    advice: &str,
) -> Failure {
    let path = format!("/api/v1/grants/{}/revoke", created.grant);
    let revoked = client.post::<GrantView>(&path, None::<&()>).await;
    let advice = match revoked {
        Ok(_) => format!("{advice}the grant was revoked"),
        Err(_) => format!(
            "revoke the grant with `itemlift grant revoke {}`",
            created.grant
        ),
    };
    Failure::new(what, error, advice)
}

fn list(grants: &[GrantView], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return say_json(&grants);
    }
    let now = Timestamp::now();
    let row = |grant: &GrantView| {
        let left = match grant.state {
            GrantState::Active => left(grant.expires_at, now),
            GrantState::Expired | GrantState::Revoked => "-".into(),
        };
        [
            grant.grant.to_string(),
            grant.state.as_str().to_owned(),
            grant.vm.clone(),
            grant.point.clone(),
            left,
            size(grant.bytes_read),
            grant.created_by.clone(),
        ]
    };
    say_table(
        [
            "GRANT",
            "STATE",
            "VM",
            "POINT",
            "LEFT",
            "READ",
            "CREATED BY",
        ],
        grants.iter().map(row),
        "No grants.",
    )
}

fn show(grant: &GrantView, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return say_json(grant);
    }
    let mut lines = vec![
        ("Grant", grant.grant.to_string()),
        ("State", grant.state.as_str().to_owned()),
        ("VM", grant.vm.clone()),
        ("Point", grant.point.clone()),
        ("Source", grant.source.clone()),
        ("Target", grant.iqn.clone()),
        (
            "Created",
            format!("{} by {}", moment(grant.created_at), grant.created_by),
        ),
        ("Expires", moment(grant.expires_at)),
    ];
    lines.extend(grant.ended_at.map(|ended| ("Ended", moment(ended))));
    lines.push(("Read", size(grant.bytes_read)));
    for disk in &grant.disks {
        let text = format!("LUN {}: {}, {}", disk.lun, disk.name, size(disk.size));
        lines.push(("Disk", text));
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:<8} {}", visible(value)))
        .collect();
    say(&lines.join("\n"))
}
