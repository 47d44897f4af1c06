//! The script's own unit tests, and the program as one file, under the Python of this machine.
use std::process::Command;

use super::made::{folder_with, make, plan};

#[test]
fn unit_tests_of_the_modules() {
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "discover"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/linux"))
        .output()
        .expect("this test needs python3");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs the script with a folder full of traps as its own, and an environment to match.
fn run(flags: &[&str]) -> (Option<i32>, String, String) {
    let (folder, path) = folder_with(&make(&plan()).unwrap().bytes);
    for module in ["json", "ssl", "hashlib", "argparse", "socket"] {
        std::fs::write(
            folder.path().join(module).with_extension("py"),
            "raise SystemExit('trapped')\n",
        )
        .unwrap();
    }
    let output = Command::new("python3")
        .arg(&path)
        .args(flags)
        .current_dir(folder.path())
        .env("PYTHONPATH", folder.path())
        .env("PYTHONSTARTUP", folder.path().join("json.py"))
        .env("OPENSSL_CONF", "/nonexistent")
        .output()
        .expect("this test needs python3");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn help_names_every_flag() {
    let (status, stdout, stderr) = run(&["--help"]);
    assert_eq!(status, Some(0), "{stderr}");
    for flag in [
        "--check",
        "--into",
        "--password-stdin",
        "--yes",
        "--detach",
        "--status",
        "--unmount",
        "--format",
    ] {
        assert!(stdout.contains(flag), "{flag}: {stdout}");
    }
}

#[test]
fn wrong_usage_is_status_1() {
    let (status, _, stderr) = run(&["--password", "x"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("--help"), "{stderr}");
}

#[test]
fn nothing_of_the_folder_or_the_environment_is_imported() {
    // No server answers for recovery.example.com: the check ends with "cannot connect", or "lacks something" before.
    let (status, stdout, stderr) = run(&["--check", "--format", "json"]);
    assert!(matches!(status, Some(3 | 4)), "{status:?} {stderr}");
    assert!(!stderr.contains("trapped"), "{stderr}");
    let report: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(report["grant"], "7f3k-x2");
    assert_eq!(report["volumes"], serde_json::json!([]));
}

#[test]
fn a_changed_script_stops_itself() {
    let script = make(&plan()).unwrap();
    let (_folder, path) = folder_with(
        &String::from_utf8(script.bytes)
            .unwrap()
            .replace("web01", "web02")
            .into_bytes(),
    );
    let output = Command::new("python3")
        .arg(&path)
        .arg("--check")
        .output()
        .expect("this test needs python3");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("changed or damaged"));
}
