//! The configuration that a new server begins with.

use super::{DEFAULT_PORT, Portal};

/// The file that `itemlift init` writes.
pub fn first_config(site: &str, hosts: &[String]) -> String {
    let advertise = match hosts.first() {
        Some(host) => {
            let portal = Portal {
                host: host.clone(),
                port: DEFAULT_PORT,
            };
            format!("advertise = \"{portal}\"")
        }
        None => format!("# advertise = \"recovery.example.com:{DEFAULT_PORT}\""),
    };
    let hosts = toml::Value::from(hosts.to_vec());
    format!(
        r#"# itemlift: configuration of this server. `itemlift serve` reads it at start.

# A short name of this place; part of each mount script's name.
site = "{site}"

# Addresses that speak TLS; API and iSCSI on each.
listen = ["0.0.0.0:{DEFAULT_PORT}"]

# What mount scripts connect to.
{advertise}

# What the server's certificate is for, besides localhost and the host advertised.
hosts = {hosts}

# iSCSI without TLS, for initiators on this machine. Loopback only.
# plain = "127.0.0.1:3261"

# Memory for index tables and decoded data of all disks, in bytes.
# cache_bytes = 268_435_456

# Where recovery points come from: a folder of VM/POINT/DISK.
# [[source]]
# kind = "images"
# path = "/srv/backups"

# Or a repository of restic or rustic: a folder, or rest:https://…, s3:https://…, azure:…, sftp:….
# [[source]]
# kind = "restic"
# repository = "/srv/restic"
# password_file = "/etc/itemlift/restic.key"
"#
    )
}
