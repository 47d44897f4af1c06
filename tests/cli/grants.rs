//! Grants from the command line: made, verified, listed, ended, and what cannot be made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::site::{POINT, Site, fails, itemlift, json, mode, succeeds};

#[test]
fn from_init_to_a_script_that_verifies() {
    let site = Site::new();
    let server = site.serve();
    let points = json(&succeeds(&mut site.run([
        "point",
        "list",
        "--since",
        "2026-01-01",
        "--format",
        "json",
    ])));
    assert_eq!(points[0]["vm"], "web01");
    assert_eq!(points[0]["point"], POINT);
    assert_eq!(points[0]["consistency"], "crash");

    let created = site.create("linux", &site.out(""));
    let mut keys: Vec<&String> = created.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["expires_at", "file", "grant", "iqn", "password"]);
    let id = created["grant"].as_str().unwrap();
    let file = PathBuf::from(created["file"].as_str().unwrap());
    assert_eq!(
        file.file_name().unwrap().to_str().unwrap(),
        format!("web01_berlin_{id}.py")
    );
    assert_eq!(mode(&file), 0o700);

    let ca = site.state().join("ca.pem");
    let verify = |file: &Path| {
        let mut command = itemlift(["script", "verify"]);
        command.arg(file).arg("--ca").arg(&ca);
        command
    };
    let said = succeeds(&mut verify(&file));
    assert!(
        said.contains(id) && said.contains("web01") && said.contains(POINT),
        "{said}"
    );

    // On the server itself its own ca.pem is at hand.
    assert!(succeeds(site.run(["script", "verify"]).arg(&file)).contains(id));
    let elsewhere = itemlift(["script", "verify", "--state"])
        .arg(site.out("none"))
        .arg(&file)
        .output()
        .unwrap();
    let error = String::from_utf8(elsewhere.stderr).unwrap();
    assert!(error.contains("with --ca"), "{error}");

    let script = fs::read(&file).unwrap();
    let altered = site.out("altered.py");
    for at in [0, script.len() / 3, script.len() / 2, script.len() - 2] {
        let mut changed = script.clone();
        changed[at] ^= 1;
        fs::write(&altered, &changed).unwrap();
        fails(&mut verify(&altered));
    }
    // Another server's CA did not sign it.
    let other = Site::new();
    let stranger = other.state().join("ca.pem");
    fails(
        itemlift(["script", "verify"])
            .arg(&file)
            .arg("--ca")
            .arg(stranger),
    );
    server.stop();
}

#[test]
fn a_file_without_end_is_no_script() {
    let mut verify = itemlift(["script", "verify", "/dev/zero", "--ca", "/dev/zero"]);
    let error = fails(&mut verify);
    assert!(error.contains("far too large"), "{error}");
}

#[test]
fn openssl_verifies_a_script_with_the_servers_ca() {
    let site = Site::new();
    let server = site.serve();
    let created = site.create("linux", &site.out(""));
    let ca = site.state().join("ca.pem");
    let file = created["file"].as_str().unwrap();
    let commands = recovery_mount::verify_command(file, ca.to_str().unwrap());
    let openssl = || {
        let bash = Command::new("bash").args(["-c", &commands]).output();
        bash.expect("this test needs bash and openssl")
    };
    let genuine = openssl();
    assert!(genuine.status.success(), "{commands}\n{genuine:?}");
    let mut script = fs::read(file).unwrap();
    let middle = script.len() / 2;
    script[middle] ^= 1;
    fs::write(file, script).unwrap();
    assert!(!openssl().status.success());
    server.stop();
}

#[test]
fn a_bundle_is_private_and_names_what_to_connect_to() {
    let site = Site::new();
    let server = site.serve();
    let out = site.out("bundle.json");
    let created = site.create("bundle", &out);
    assert_eq!(created["password"], Value::Null);
    assert_eq!(mode(&out), 0o600);
    let bundle = json(&fs::read_to_string(&out).unwrap());
    assert_eq!(bundle["grant"], created["grant"]);
    assert_eq!(bundle["portal"], format!("127.0.0.1:{}", site.port));
    assert_eq!(bundle["server_name"], "127.0.0.1");
    assert_eq!(bundle["disks"][0]["size"], 1 << 20);
    server.stop();
}

#[test]
fn grants_are_listed_renewed_revoked_and_survive_a_restart() {
    let site = Site::new();
    let server = site.serve();
    let arguments = [
        "grant",
        "create",
        "--vm",
        "web01",
        "--os",
        "bundle",
        "--lifetime",
        "1h",
        "--out",
    ];
    let shown = succeeds(site.run(arguments).arg(site.out("a.json")));
    assert!(shown.contains("itemlift tunnel --bundle"), "{shown}");
    let second = site.create("linux", &site.out("b.py"));
    let grants = site.grants();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[0]["created_by"], "alice");
    let id = grants[0]["grant"].as_str().unwrap();
    let renewed = json(&succeeds(
        &mut site.run(["grant", "renew", id, "--format", "json"]),
    ));
    assert!(renewed["expires_at"].as_str() > grants[0]["expires_at"].as_str());
    let revoked = succeeds(&mut site.run(["grant", "revoke", id]));
    assert!(revoked.contains("revoked"), "{revoked}");
    let refused = fails(&mut site.run(["grant", "renew", id]));
    assert!(
        refused.contains("revoked") && refused.contains("create a new grant"),
        "{refused}"
    );
    server.stop();

    let server = site.serve();
    let grants = site.grants();
    assert_eq!(grants[0]["state"], "revoked");
    assert_eq!(grants[1]["state"], "active");
    assert_eq!(grants[1]["expires_at"], second["expires_at"]);
    let active = succeeds(&mut site.run(["grant", "list", "--active"]));
    assert!(!active.contains(id), "{active}");
    let table = succeeds(&mut site.run(["grant", "show", second["grant"].as_str().unwrap()]));
    assert!(
        table.contains("1 MiB") && table.contains("active"),
        "{table}"
    );
    assert!(succeeds(&mut site.run(["session", "list"])).contains("No sessions"));
    assert!(succeeds(&mut site.run(["source", "check"])).contains("my backups"));
    server.stop();

    let audit = fs::read_to_string(site.state().join("audit.log")).unwrap();
    let events: Vec<Value> = audit.lines().map(json).collect();
    let events: Vec<&str> = events
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["created", "created", "renewed", "revoked"]);
    assert_eq!(mode(&site.state().join("audit.log")), 0o600);
}

#[test]
fn a_grant_that_cannot_be_written_is_not_made() {
    let site = Site::new();
    let server = site.serve();
    let mine = site.out("mine");
    fs::write(&mine, "mine").unwrap();
    let link = site.out("link");
    symlink(&mine, &link).unwrap();
    let create = |vm: &str, os: &str, out: &Path, more: &[&str]| {
        let mut command = site.run(["grant", "create", "--vm", vm, "--os", os, "--out"]);
        command.arg(out).args(more);
        command
    };
    for (out, says) in [
        (mine.clone(), "exists already"),
        (link.clone(), "symbolic link"),
        (site.out("no/such/file"), "does not exist"),
        (PathBuf::from("/dev/null"), "neither a file nor a folder"),
        (PathBuf::from("-"), "`-` is no file"),
    ] {
        let error = fails(&mut create("web01", "linux", &out, &[]));
        assert!(error.contains(says), "{out:?}: {error}");
    }
    let error = fails(&mut create("web01", "windows", &site.out("x.ps1"), &[]));
    assert!(
        error.contains("Windows") && error.contains("bundle"),
        "{error}"
    );
    let error = fails(&mut create(
        "web02\nrm -rf /",
        "linux",
        &site.out("x.py"),
        &[],
    ));
    assert!(
        error.contains("web02") && error.contains("point list"),
        "{error}"
    );
    let error = fails(&mut create(
        "web01",
        "linux",
        &site.out("x.py"),
        &["--point", "yesterday"],
    ));
    assert!(error.contains("yesterday"), "{error}");
    assert!(site.grants().is_empty(), "{:?}", site.grants());
    assert_eq!(fs::read(&mine).unwrap(), b"mine");

    succeeds(&mut create("web01", "linux", &mine, &["--replace"]));
    assert!(fs::read(&mine).unwrap().starts_with(b"#!"));
    server.stop();
}

#[test]
fn a_grant_whose_password_nobody_saw_is_revoked() {
    let site = Site::new();
    let server = site.serve();
    let out = site.out("unseen.py");
    let mut command = site.run(["grant", "create", "--vm", "web01", "--os", "linux", "--out"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = command.arg(&out).stdout(full.unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("No space left") && error.ends_with("the grant was revoked\n"),
        "{error}"
    );
    assert_eq!(site.grants()[0]["state"], "revoked");
    assert!(!out.exists());
    server.stop();
}

#[test]
fn a_damaged_disk_is_told_and_the_others_are_served() {
    let site = Site::new();
    let folder = site.source().join("web01").join(POINT);
    // Cut in the middle of a sector. Its place among the disks is the first.
    fs::write(folder.join("cut.raw"), [7; 700]).unwrap();
    let server = site.serve();
    let bundle = site.out("bundle.json");
    let created = site.create("bundle", &bundle);
    let not_served = &created["not_served"];
    assert_eq!(not_served.as_array().unwrap().len(), 1, "{created}");
    assert_eq!(
        (&not_served[0]["lun"], &not_served[0]["name"]),
        (&Value::from(0), &Value::from("cut.raw"))
    );
    assert!(
        not_served[0]["reason"].as_str().unwrap().contains("700"),
        "{created}"
    );
    let bundle = json(&fs::read_to_string(&bundle).unwrap());
    assert_eq!(bundle["disks"].as_array().unwrap().len(), 1);
    assert_eq!(bundle["disks"][0]["lun"], 1, "{bundle}");
    let mut command = site.run(["grant", "create", "--vm", "web01", "--os", "linux", "--out"]);
    let said = succeeds(command.arg(site.out("")));
    assert!(
        said.contains("Damaged   LUN 0, cut.raw, is not served"),
        "{said}"
    );
    let script = fs::read_dir(site.out("")).unwrap().flatten();
    let script = script.map(|entry| entry.path());
    let mut script = script.filter(|path| path.extension().is_some_and(|end| end == "py"));
    let script = fs::read_to_string(script.next().unwrap()).unwrap();
    let (head, program) = script.split_once("\n\n").unwrap();
    for text in [
        "it does not attach:",
        "#     0  cut.raw\n",
        "its size, 700 bytes",
    ] {
        assert!(head.contains(text), "{text}: {head}");
    }
    assert!(program.contains(r#"{"lun": 0, "name": "cut.raw", "reason": "#));
    server.stop();
}
