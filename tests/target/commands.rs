//! The commands `demo` and `tunnel` as a user runs them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::Place;

fn itemlift(words: &[&str], temporary: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_itemlift"))
        .args(words)
        .env("TMPDIR", temporary)
        .env_remove("https_proxy")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// The line that begins so, and all before it.
fn read_to(out: &mut BufReader<ChildStdout>, beginning: &str) -> String {
    let mut all = String::new();
    loop {
        let begin = all.len();
        assert_ne!(out.read_line(&mut all).unwrap(), 0, "it ended:\n{all}");
        if all[begin..].trim_start().starts_with(beginning) {
            return all;
        }
    }
}

#[test]
fn the_demo_proves_itself_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let done = itemlift(&["demo", "--once"], dir.path())
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(said.contains("SHA-256 equal to the image's"), "{said}");
    // There is nothing to use it for.
    assert!(!said.contains("Password  "), "{said}");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "left behind"
    );
}

#[test]
fn the_demo_serves_until_it_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = itemlift(&["demo"], dir.path());
    let mut out = BufReader::new(demo.stdout.take().unwrap());
    let said = read_to(&mut out, "Serving on ");
    assert!(said.contains("Password  "), "{said}");
    let script = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Script"))
        .unwrap()
        .trim();
    let mode = std::fs::metadata(script).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    interrupt(&demo);
    assert!(demo.wait().unwrap().success());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "left behind"
    );
}

#[test]
fn the_demo_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("file"), "").unwrap();
    let words = ["demo", "--once", "--keep", mine.to_str().unwrap()];
    let done = itemlift(&words, dir.path()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("is not empty"), "{said}");
    assert!(mine.join("file").exists());
}

#[tokio::test]
async fn a_tunnel_tells_how_to_log_in_and_keeps_the_secrets_to_itself() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bundle of mine.json");
    std::fs::write(&file, serde_json::to_vec(&bundle).unwrap()).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let words = ["tunnel", "--bundle", &path, "--listen", "127.0.0.1:0"];
    let mut tunnel = itemlift(&words, dir.path());
    let mut out = BufReader::new(tunnel.stdout.take().unwrap());
    let ended = tokio::task::spawn_blocking(move || {
        let mut said = read_to(&mut out, "Ctrl-C closes");
        interrupt(&tunnel);
        let status = tunnel.wait().unwrap();
        out.read_to_string(&mut said).unwrap();
        let mut errors = String::new();
        tunnel
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        (status, said, errors)
    });
    let (status, said, errors) = ended.await.unwrap();
    assert!(status.success(), "{errors}");
    assert!(
        said.contains("iscsiadm -m node -T") && said.contains(&bundle.iqn),
        "{said}"
    );
    assert!(said.contains(&format!("'{path}'")), "{said}");
    for secret in [&bundle.initiator.secret, &bundle.target.secret] {
        assert!(!said.contains(secret.reveal()) && !errors.contains(secret.reveal()));
    }
    server.grants.revoke(&bundle.grant, "test").await.unwrap();
    let words: Vec<String> = words.map(str::to_owned).to_vec();
    let refused = tokio::task::spawn_blocking(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        itemlift(&words, dir.path()).wait_with_output().unwrap()
    });
    let refused = refused.await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the grant was revoked"), "{said}");
}
