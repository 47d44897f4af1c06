//! `itemlift tunnel`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::tunnel;

/// Listen on loopback and carry iSCSI to the server over TLS.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  itemlift grant create --vm web01 --os bundle --out web01.json\n  itemlift tunnel --bundle web01.json"
)]
pub(super) struct Tunnel {
    /// The bundle that `itemlift grant create --os bundle` wrote.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Where initiators on this machine connect to.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 3260)))]
    listen: SocketAddr,
}

/// An address of this machine and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| "it is an address and a port, such as 127.0.0.1:3262".to_owned();
    text.parse().map_err(wrong)
}

impl Tunnel {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // The tunnel's sentences say what to do.
        tunnel::run(&self.bundle, self.listen)
            .await
            .map_err(|error| Failure::new("the tunnel is not open", error, ""))
    }
}
