//! Puts the modules of `linux/` together into one program.
//!
//! The modules import each other as `from NAME import …`; in one file these lines have no work left and are dropped. Imports
//! of the standard library are gathered at one place, after `bootstrap`, which must run before anything else is
//! imported. No two modules may define the same name at their top level; `linux/tests/test_assembly.py` holds that.

use std::collections::BTreeSet;

/// What starts the program, after plan, secrets and signature are defined.
pub(super) const START: &str = "\nif __name__ == \"__main__\":\n    sys.exit(main(PLAN, SEALED, SIGNATURE, __file__, sys.argv[1:]))\n\n";

const BOOTSTRAP: &str = include_str!("../../linux/bootstrap.py");
const ENTER: &str = "\n\nif __name__ == \"__main__\":\n    enter_isolation(__file__)\n\n";

/// The order in which a reader meets them; definitions that others need while loading come first.
const MODULES: &[(&str, &str)] = &[
    ("outcome", include_str!("../../linux/outcome.py")),
    ("flags", include_str!("../../linux/flags.py")),
    ("talk", include_str!("../../linux/talk.py")),
    ("terminal", include_str!("../../linux/terminal.py")),
    ("columns", include_str!("../../linux/columns.py")),
    ("table", include_str!("../../linux/table.py")),
    ("report", include_str!("../../linux/report.py")),
    ("host", include_str!("../../linux/host.py")),
    ("state", include_str!("../../linux/state.py")),
    ("selfcheck", include_str!("../../linux/selfcheck.py")),
    ("unseal", include_str!("../../linux/unseal.py")),
    ("preflight", include_str!("../../linux/preflight.py")),
    ("foresight", include_str!("../../linux/foresight.py")),
    ("packages", include_str!("../../linux/packages.py")),
    ("leftovers", include_str!("../../linux/leftovers.py")),
    ("proxy", include_str!("../../linux/proxy.py")),
    ("server", include_str!("../../linux/server.py")),
    ("listener", include_str!("../../linux/listener.py")),
    ("tunnel", include_str!("../../linux/tunnel.py")),
    (
        "tunnel_process",
        include_str!("../../linux/tunnel_process.py"),
    ),
    ("isolation", include_str!("../../linux/isolation.py")),
    ("iscsid", include_str!("../../linux/iscsid.py")),
    ("iscsi", include_str!("../../linux/iscsi.py")),
    ("devices", include_str!("../../linux/devices.py")),
    ("mapper", include_str!("../../linux/mapper.py")),
    ("cow", include_str!("../../linux/cow.py")),
    ("tools", include_str!("../../linux/tools.py")),
    ("overlays", include_str!("../../linux/overlays.py")),
    ("layers", include_str!("../../linux/layers.py")),
    ("filesystems", include_str!("../../linux/filesystems.py")),
    ("encrypted", include_str!("../../linux/encrypted.py")),
    ("raid", include_str!("../../linux/raid.py")),
    ("lvm", include_str!("../../linux/lvm.py")),
    ("btrfs", include_str!("../../linux/btrfs.py")),
    ("mounting", include_str!("../../linux/mounting.py")),
    ("layout", include_str!("../../linux/layout.py")),
    ("tree", include_str!("../../linux/tree.py")),
    ("teardown", include_str!("../../linux/teardown.py")),
    ("leaving", include_str!("../../linux/leaving.py")),
    ("closing", include_str!("../../linux/closing.py")),
    ("attach", include_str!("../../linux/attach.py")),
    ("waiting", include_str!("../../linux/waiting.py")),
    ("run", include_str!("../../linux/run.py")),
    ("main", include_str!("../../linux/main.py")),
];

pub(super) fn program() -> String {
    let mut imports = BTreeSet::new();
    let mut bodies = String::new();
    for (name, source) in MODULES {
        bodies.push_str(&section(name));
        bodies.push_str(&body(source, &mut imports));
    }
    let mut program = [BOOTSTRAP.trim_end(), ENTER].concat();
    for import in imports {
        program.push_str(&import);
        program.push('\n');
    }
    program.push_str(&bodies);
    program
}

fn section(name: &str) -> String {
    format!("\n\n# ---- {name} ----\n\n")
}

/// A module without its imports; those of the standard library go into `imports`.
fn body(source: &str, imports: &mut BTreeSet<String>) -> String {
    let mut body = String::new();
    let mut in_sibling_import = false;
    for line in source.lines() {
        if in_sibling_import {
            in_sibling_import = line != ")";
        } else if line.starts_with("import ") {
            imports.insert(line.to_owned());
        } else if line.starts_with("from ") {
            in_sibling_import = line.ends_with('(');
        } else {
            body.push_str(line);
            body.push('\n');
        }
    }
    let mut trimmed = body.trim().to_owned();
    trimmed.push('\n');
    trimmed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_is_in_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/linux");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                Some(
                    entry
                        .unwrap()
                        .file_name()
                        .to_str()?
                        .strip_suffix(".py")?
                        .to_owned(),
                )
            })
            .filter(|name| name != "bootstrap")
            .collect();
        assert_eq!(
            MODULES
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect::<BTreeSet<_>>(),
            on_disk
        );
    }

    #[test]
    fn imports_are_gathered_and_those_of_siblings_dropped() {
        let mut imports = BTreeSet::new();
        let source = "\"\"\"What.\"\"\"\n\nimport os\nimport json\n\nfrom host import Host\nfrom iscsi import (\n    Target,\n)\n\nX = 1\n";
        assert_eq!(
            body(source, &mut imports),
            "\"\"\"What.\"\"\"\n\n\n\nX = 1\n"
        );
        assert_eq!(
            imports,
            BTreeSet::from(["import json".to_owned(), "import os".to_owned()])
        );
    }
}
