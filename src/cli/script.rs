//! `itemlift script`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use recovery_mount::VerifyError;

use super::failure::Failure;
use super::output::{say, visible};
use crate::state_dir::StateDir;

/// Bytes of a file to verify at most. Scripts are far smaller.
const MAX_FILE: u64 = 64 << 20;

/// Mount scripts.
#[derive(Debug, Subcommand)]
pub(super) enum Script {
    /// Verify that a mount script is as this server's CA signed it.
    #[command(
        after_help = "Example:\n  itemlift script verify web01_berlin_0a1b2c3d4e5f.py --ca ca.pem"
    )]
    Verify {
        /// The mount script.
        file: PathBuf,
        /// The server's CA certificate. Default: `ca.pem` in the state directory.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
}

impl Script {
    pub(super) fn run(self, state: &Path) -> Result<(), Failure> {
        let Self::Verify { file, ca } = self;
        let what = format!("{} is not verified", file.display());
        let script = read(&file, &what, "name a file that you may read")?;
        let ca = match ca {
            Some(ca) => read(&ca, &what, "name a file that you may read")?,
            None => {
                const ADVICE: &str = "name the server's ca.pem with --ca";
                let state =
                    StateDir::open(state).map_err(|error| Failure::new(&what, error, ADVICE))?;
                read(&state.ca(), &what, ADVICE)?
            }
        };
        let ca = String::from_utf8_lossy(&ca).into_owned();
        let info = recovery_mount::verify(&script, &ca, Timestamp::now().as_second())
            .map_err(|error| Failure::new(&what, &error, advice(&error)))?;
        say(&visible(&format!(
            "{} is genuine: grant {}, VM {}, recovery point {}, until {}",
            file.display(),
            info.grant,
            info.vm,
            info.point,
            info.expires_at,
        )))
    }
}

fn advice(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::NotAScript => "name a file that `itemlift grant create` wrote",
        VerifyError::Ca | VerifyError::Untrusted(_) => "name the ca.pem of the server that made it",
        VerifyError::NoSignature => "get it again from whoever created the grant",
        // These sentences say what to do.
        VerifyError::DamagedSignature | VerifyError::Changed | VerifyError::FalseSignature => "",
    }
}

/// Reads a file that may be anything, so no further than [`MAX_FILE`].
fn read(path: &Path, what: &str, advice: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        Failure::new(
            what,
            format!("{} cannot be read: {error}", path.display()),
            advice,
        )
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Failure::new(
            what,
            format!("{} is far too large", path.display()),
            "name the right file",
        ));
    }
    Ok(bytes)
}
