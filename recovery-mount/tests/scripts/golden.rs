//! What stands in a script besides the program, over a matrix of plans; and that the program opens what was sealed.
//!
//! After a wanted change: `UPDATE_GOLDEN=1 cargo test -p recovery-mount --test scripts golden`, then read the difference.

use std::path::Path;
use std::process::Command;

use super::made::{PASSWORD, folder_with, make, plan, text};
use recovery_mount::{Plan, PlanDisk, PlanError, PlanNotServed, ScriptError};

/// A VM's name as nobody should give it, but somebody does.
const HOSTILE: &str =
    "a\"b'c\\\n\"\"\"; import os; os.system(\"id\") # $(reboot) `id` \u{202e}\u{1f600}";

/// Plans whose scripts are the same in each run but for the signature, with the names of their golden files. The CA
/// is a fixed one, since the sealed secrets are bound to it.
fn matrix() -> Vec<(&'static str, Plan)> {
    let plan = || Plan {
        ca_pem: include_str!("../fixtures/ca.pem").into(),
        ..plan()
    };
    let disk = |lun, name: &str, size, sector_size| PlanDisk {
        lun,
        name: name.into(),
        size,
        sector_size,
    };
    let not_served = |lun, name: &str, reason: &str| PlanNotServed {
        lun,
        name: name.into(),
        reason: reason.into(),
    };
    vec![
        ("one-disk", plan()),
        (
            "disks-not-served",
            Plan {
                disks: vec![disk(1, "data", 1 << 30, 512)],
                not_served: vec![
                    not_served(
                        0,
                        "system",
                        "cannot open \"system.raw\": its size, 700 bytes, is not a multiple of the 512-byte sector; the copy may be incomplete, or `sector_size` in point.toml is wrong",
                    ),
                    not_served(
                        2,
                        HOSTILE,
                        &format!("{HOSTILE} {}", "/a/long/path".repeat(100)),
                    ),
                ],
                ..plan()
            },
        ),
        (
            "several-disks-ipv6",
            Plan {
                portal: "[2001:db8::7]:443".into(),
                server_name: "2001:db8::7".into(),
                disks: vec![
                    disk(0, "system", 64 << 30, 512),
                    disk(1, "data", 64 << 40, 4096),
                    disk(9, &"long ".repeat(30), 512, 512),
                ],
                ..plan()
            },
        ),
        (
            "hostile-names",
            Plan {
                site: HOSTILE.into(),
                vm: HOSTILE.into(),
                point: "../../etc/passwd".into(),
                disks: vec![disk(0, HOSTILE, 1 << 20, 512)],
                ..plan()
            },
        ),
        (
            "empty-names",
            Plan {
                site: "".into(),
                vm: "".into(),
                point: "".into(),
                ..plan()
            },
        ),
        (
            "other-alphabet",
            Plan {
                vm: "サーバー 01".into(),
                site: "東京".into(),
                ..plan()
            },
        ),
    ]
}

/// The script without what has tests of its own: its program, and what hangs on the program or on the signer's key.
fn without_program_and_signature(script: &str) -> String {
    let program = script.find("\"\"\"Cuts the environment off").unwrap();
    let plan = script.find("# ---- What this script mounts").unwrap();
    let signature = script.find("\nSIGNATURE = {").unwrap() + 1;
    let start = script.rfind("if __name__").unwrap();
    let rest = script[start..]
        .lines()
        .filter(|line| !line.starts_with("# SIG "))
        .filter(|line| !line.starts_with("# CMS ") || line.contains("-----"));
    [
        &script[..program],
        "(the program)\n\n",
        &script[plan..signature],
        "(the signature)\n\n",
        &rest.map(|line| format!("{line}\n")).collect::<String>(),
    ]
    .concat()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "golden files are read and, when asked for, written by the test"
)]
fn scripts_are_as_they_were() {
    for (name, plan) in matrix() {
        let script = make(&plan).unwrap();
        assert!(script.bytes.is_ascii());
        let found = format!(
            "{}\n{}",
            script.file_name,
            without_program_and_signature(text(&script))
        );
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(name)
            .with_extension("txt");
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            std::fs::write(&path, &found).unwrap();
        }
        let golden = std::fs::read(&path).unwrap_or_default();
        assert!(
            found.as_bytes() == golden,
            "{name} differs from {}; see the head of this file",
            path.display()
        );
    }
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    assert_eq!(make(&plan()).unwrap().bytes, make(&plan()).unwrap().bytes);
}

/// Runs a piece of Python with the script loaded as `script`.
fn python(script: &[u8], program: &str) -> String {
    let (_folder, path) = folder_with(script);
    let program = format!(
        "import json, runpy, sys\nscript = runpy.run_path(sys.argv[1], run_name='loaded')\n{program}"
    );
    let output = Command::new("python3")
        .args(["-I", "-c", &program])
        .arg(&path)
        .output()
        .expect("python3");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_name_becomes_code() {
    for (_, plan) in matrix() {
        let program = "print(json.dumps({key: script['PLAN'][key] for key in ('site', 'vm', 'point', 'disks', 'not_served', 'host')}))";
        let read: serde_json::Value =
            serde_json::from_str(&python(&make(&plan).unwrap().bytes, program)).unwrap();
        assert_eq!(read["vm"], plan.vm);
        assert_eq!(read["site"], plan.site);
        assert_eq!(read["point"], plan.point);
        assert_eq!(read["disks"].as_array().unwrap().len(), plan.disks.len());
        assert_eq!(read["disks"][0]["name"], plan.disks[0].name);
        assert_eq!(read["disks"][0]["size"], plan.disks[0].size);
        for (disk, read) in plan
            .not_served
            .iter()
            .zip(read["not_served"].as_array().unwrap())
        {
            assert_eq!(
                (&read["name"], &read["lun"]),
                (&disk.name.clone().into(), &disk.lun.into())
            );
            assert!(disk.reason.starts_with(read["reason"].as_str().unwrap()));
        }
    }
}

#[test]
fn python_opens_what_was_sealed_and_only_with_the_password() {
    let script = make(&plan()).unwrap();
    let program = format!(
        "unseal, sealed, plan = script['unseal'], script['SEALED'], script['PLAN']
assert unseal(sealed, plan, '00000-11111-22222-zzzzy') is None
assert unseal(sealed, plan, '') is None
assert unseal(sealed, dict(plan, grant='another'), '{PASSWORD}') is None
changed = dict(sealed, ciphertext='A' + sealed['ciphertext'][1:])
assert changed == sealed or unseal(changed, plan, '{PASSWORD}') is None
assert unseal(sealed, plan, ' OOOOO-lllll 22222ZZZZZ ') is not None
print(json.dumps(unseal(sealed, plan, '{PASSWORD}')))"
    );
    let read: serde_json::Value = serde_json::from_str(&python(&script.bytes, &program)).unwrap();
    assert_eq!(read, serde_json::to_value(super::made::secrets()).unwrap());
    for secret in [
        "abcdefghijkl_-01",
        "ABCDEFGHIJKL_-99",
        "PRIVATE KEY",
        PASSWORD,
    ] {
        assert!(
            !text(&script).contains(secret),
            "{secret} stands open in the script"
        );
    }
}

#[test]
fn nonsense_is_no_plan() {
    let error = make(&Plan {
        grant: "../x".into(),
        ..plan()
    })
    .unwrap_err();
    assert!(matches!(error, ScriptError::Plan(PlanError::Grant(_))));
    assert_eq!(
        error.to_string(),
        "the plan cannot become a script: the grant id \"../x\" is not 1 to 64 lower-case letters, digits and '-'"
    );
    for (plan, expected) in [
        (
            Plan {
                ca_pem: "x".into(),
                ..plan()
            },
            PlanError::Ca,
        ),
        (
            Plan {
                iqn: "eui.1".into(),
                ..plan()
            },
            PlanError::Iqn("eui.1".into()),
        ),
        (
            Plan {
                expires_at: 0,
                ..plan()
            },
            PlanError::Times {
                created_at: super::made::NOW,
                expires_at: 0,
            },
        ),
        (
            Plan {
                vm: "x".repeat(2000),
                ..plan()
            },
            PlanError::Name,
        ),
        (
            Plan {
                server_name: "a b".into(),
                ..plan()
            },
            PlanError::ServerName("a b".into()),
        ),
    ] {
        assert!(
            matches!(make(&plan), Err(ScriptError::Plan(found)) if found == expected),
            "{expected:?}"
        );
    }
}
