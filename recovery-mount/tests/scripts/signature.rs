//! The signature: OpenSSL, `verify` and the script itself accept what was signed and nothing else.

use std::path::Path;
use std::process::{Command, Stdio};

use super::made::{NOW, ca, folder_with, make, make_with, other_ca, plan, rsa_key, text};
use recovery_mount::{VerifyError, verify, verify_command};

/// Runs the command of the script's header; true if OpenSSL accepts.
fn openssl_accepts(folder: &Path) -> bool {
    let version = Command::new("openssl").arg("version").output();
    assert!(
        version.is_ok(),
        "this test needs the program openssl: install it (apt-get install openssl)"
    );
    let status = Command::new("bash")
        .args(["-c", &verify_command("script.py", "ca.pem")])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("this test needs bash");
    status.success()
}

/// Another character at this place: within base64 one that base64 has too.
fn changed(script: &[u8], at: usize) -> Vec<u8> {
    let mut changed = script.to_vec();
    changed[at] = match script[at] {
        b'A' => b'B',
        letter if letter.is_ascii_alphanumeric() => b'A',
        b'\n' => b' ',
        other => other ^ 1,
    };
    changed
}

/// Every byte of the signature block, and every `step`-th before it.
fn places(script: &str, step: usize) -> Vec<usize> {
    let block = script.rfind("# CMS -----BEGIN").unwrap();
    (0..block)
        .step_by(step)
        .chain(block..script.len())
        .collect()
}

#[test]
fn all_three_accept_what_was_signed() {
    let script = make(&plan()).unwrap();
    let (folder, path) = folder_with(&script.bytes);
    assert!(openssl_accepts(folder.path()));
    let info = verify(&script.bytes, ca(), NOW).unwrap();
    assert_eq!(
        (info.grant.as_str(), info.vm.as_str()),
        ("7f3k-x2", "web01")
    );
    assert_eq!(
        (info.point.as_str(), info.expires_at.as_str()),
        ("2026-11-20T02-00-00Z", "2026-11-21 13:05:09 UTC")
    );
    assert_eq!(intact(&path, &[]), "");
}

#[test]
fn openssl_refuses_every_changed_byte() {
    let script = make(&plan()).unwrap();
    let places = places(text(&script), 350);
    assert!(places.len() > 2000);
    std::thread::scope(|scope| {
        for half in places.chunks(places.len().div_ceil(2)) {
            let script = &script;
            scope.spawn(move || {
                let (folder, path) = folder_with(&script.bytes);
                for &at in half {
                    std::fs::write(&path, changed(&script.bytes, at)).unwrap();
                    assert!(
                        !openssl_accepts(folder.path()),
                        "OpenSSL does not see a change of byte {at}"
                    );
                }
            });
        }
    });
}

#[test]
fn openssl_refuses_a_late_line_elsewhere() {
    let script = make(&plan()).unwrap();
    let (folder, path) = folder_with(&script.bytes);
    let late = format!("\n# SIG {}\n", "A".repeat(64));
    let early = format!("\n# CMS -----BEGIN CMS-----{late}");
    for inserted in [late, early] {
        let altered = text(&script).replacen("\nimport", &format!("{inserted}import"), 1);
        assert_ne!(altered.len(), script.bytes.len());
        std::fs::write(&path, altered).unwrap();
        assert!(!openssl_accepts(folder.path()), "{inserted}");
    }
}

#[test]
fn verify_refuses_every_changed_byte() {
    let script = make(&plan()).unwrap();
    for at in places(text(&script), 200) {
        assert!(
            verify(&changed(&script.bytes, at), ca(), NOW).is_err(),
            "verify does not see a change of byte {at}"
        );
    }
}

#[test]
fn the_script_sees_every_changed_byte_of_itself() {
    let script = make(&plan()).unwrap();
    let (_folder, path) = folder_with(&script.bytes);
    assert_eq!(intact(&path, &places(text(&script), 200)), "");
}

/// Asks the script's own check about the file as it is and with each of these bytes changed; what it gets wrong.
fn intact(path: &Path, places: &[usize]) -> String {
    let program = "
import runpy, sys
script = runpy.run_path(sys.argv[1], run_name='loaded')
content = open(sys.argv[1], 'rb').read()
if not script['is_intact'](content, script['SIGNATURE']):
    print('refuses the file as it is')
for place in map(int, sys.stdin.read().split()):
    byte = content[place]
    other = {65: 66, 10: 32}.get(byte, 65 if chr(byte).isalnum() else byte ^ 1)
    if script['is_intact'](content[:place] + bytes([other]) + content[place + 1:], script['SIGNATURE']):
        print('does not see a change of byte', place)
";
    let list: Vec<String> = places.iter().map(usize::to_string).collect();
    let mut run = Command::new("python3")
        .args(["-I", "-c", program])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3");
    std::io::Write::write_all(&mut run.stdin.take().unwrap(), list.join(" ").as_bytes()).unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "the script cannot be loaded");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn refusals_say_why() {
    let script = make(&plan()).unwrap();
    let good = text(&script);
    let refusal = |script: &str| verify(script.as_bytes(), ca(), NOW).unwrap_err();
    assert_eq!(refusal("#!/bin/sh\n"), VerifyError::NoSignature);
    assert_eq!(refusal("caf\u{e9}"), VerifyError::NotAScript);
    assert_eq!(
        refusal(&good.replace("web01", "web02")),
        VerifyError::Changed
    );
    assert_eq!(
        refusal(&format!("{good}import os\n")),
        VerifyError::DamagedSignature
    );
    assert_eq!(refusal(good.trim_end()), VerifyError::DamagedSignature);
    let cut = good.find("\n# SIG ").unwrap() + 1;
    assert_eq!(refusal(&good[..cut]), VerifyError::DamagedSignature);
    // A late line elsewhere is left out of the digest; it must not slip in.
    let inserted = good.replacen(
        "\nimport",
        &format!("\n# SIG {}\nimport", "A".repeat(64)),
        1,
    );
    assert_eq!(refusal(&inserted), VerifyError::DamagedSignature);

    assert_eq!(verify(&script.bytes, "no PEM", NOW), Err(VerifyError::Ca));
    for (ca, now) in [(&*other_ca(), NOW), (ca(), 0), (ca(), 4_000_000_000)] {
        assert!(
            matches!(
                verify(&script.bytes, ca, now),
                Err(VerifyError::Untrusted(_))
            ),
            "{now}"
        );
    }
}

#[test]
fn a_signature_by_another_key_is_false() {
    let script = make_with(&plan(), &rsa_key()).unwrap();
    assert_eq!(
        verify(&script.bytes, ca(), NOW),
        Err(VerifyError::FalseSignature)
    );
    let (folder, path) = folder_with(&script.bytes);
    assert!(!openssl_accepts(folder.path()));
    assert_eq!(intact(&path, &[]), "refuses the file as it is\n");
}
