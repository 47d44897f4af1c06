//! What a person does with an open tunnel.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use super::Bundle;

/// What a person types to log in with open-iscsi. The secrets stay in the bundle.
pub(super) fn write(
    out: &mut impl Write,
    bundle: &Bundle,
    file: &Path,
    address: SocketAddr,
) -> io::Result<()> {
    // Somebody else may have written the bundle, and what stands here is typed as root.
    let node = format!("iscsiadm -m node -T {} -p {address}", word(&bundle.iqn));
    let file = quoted(&file.to_string_lossy());
    writeln!(
        out,
        "Grant {} is open on {address} until {}.\n\nAs root, with open-iscsi and jq:\n",
        bundle.grant, bundle.expires_at
    )?;
    writeln!(out, "  {node} -o new")?;
    writeln!(
        out,
        "  {node} -o update -n node.session.auth.authmethod -v CHAP"
    )?;
    for (record, field) in [
        ("username", ".initiator.user"),
        ("password", ".initiator.secret"),
        ("username_in", ".target.user"),
        ("password_in", ".target.secret"),
    ] {
        writeln!(
            out,
            "  {node} -o update -n node.session.auth.{record} -v \"$(jq -r {field} {file})\""
        )?;
    }
    writeln!(
        out,
        "  {node} --login\n\nTo log out and to forget the node:\n"
    )?;
    writeln!(out, "  {node} --logout")?;
    writeln!(out, "  {node} -o delete\n\nCtrl-C closes the tunnel.")?;
    out.flush()
}

/// One word for a POSIX shell: an iSCSI name as it is, anything else in quotes and with nothing that steers a terminal.
fn word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        quoted(&name.escape_default().to_string())
    }
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_name_is_no_command() {
        let name = "iqn.2026-11.io.itemlift:0123456789ab";
        assert_eq!(word(name), name);
        assert_eq!(word("$(id); x"), "'$(id); x'");
        assert_eq!(word("\x1b[2J"), "'\\u{1b}[2J'");
    }

    #[test]
    fn a_file_name_is_one_word() {
        assert_eq!(quoted("a b'c$(d)"), r"'a b'\''c$(d)'");
    }
}
