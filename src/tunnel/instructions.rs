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
    let node = format!("iscsiadm -m node -T {} -p {address}", bundle.iqn);
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

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_one_word() {
        assert_eq!(quoted("a b'c$(d)"), r"'a b'\''c$(d)'");
    }
}
