//! Who asks the server, from where, with what words.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::site::{Site, fails, itemlift, json, succeeds, text, usage_error};

#[test]
fn wrong_usage_is_status_two() {
    for arguments in [
        &["grant"][..],
        &["frobnicate"],
        &["grant", "create", "--vm", "web01"],
        &[
            "grant", "create", "--vm", "web01", "--os", "beos", "--out", ".",
        ],
        &[
            "grant",
            "create",
            "--vm",
            "web01",
            "--os",
            "linux",
            "--out",
            ".",
            "--lifetime",
            "13h",
        ],
        &["grant", "show", "not-an-id"],
        &["point", "list", "--consistency", "good"],
        &["session", "list", "--format", "yaml"],
        &["session", "list", "--server", "example.com:3260"],
        &["tunnel"],
        &["tunnel", "--bundle", "b.json", "--listen", "localhost"],
    ] {
        usage_error(&mut itemlift(arguments));
    }
    let mut listens_by_name = itemlift(["tunnel", "--bundle", "b.json", "--listen", "localhost"]);
    let error = usage_error(&mut listens_by_name);
    assert!(error.contains("such as 127.0.0.1:3262"), "{error}");
    let help = succeeds(&mut itemlift(["grant", "create", "--help"]));
    assert!(
        help.contains("Examples:") && help.contains("--lifetime"),
        "{help}"
    );
}

#[test]
fn without_a_server_the_way_to_start_it_is_told() {
    let site = Site::new();
    let error = fails(&mut site.run(["grant", "list"]));
    assert!(
        error.contains("Connection refused") && error.contains("itemlift serve"),
        "{error}"
    );
    let error = fails(itemlift(["grant", "list", "--state"]).arg(site.out("nowhere")));
    assert!(error.contains("holds no itemlift server"), "{error}");
    // What cannot be looked at, here a link to itself, may hold one.
    let closed = site.out("closed");
    fs::create_dir(&closed).unwrap();
    symlink("itemlift.toml", closed.join("itemlift.toml")).unwrap();
    let error = fails(itemlift(["grant", "list", "--state"]).arg(&closed));
    assert!(error.contains("cannot read"), "{error}");
}

#[test]
fn a_filter_of_the_log_that_is_none_is_told() {
    let site = Site::new();
    let list = |filter: &str| {
        let mut command = site.run(["grant", "list"]);
        text(&command.env("ITEMLIFT_LOG", filter).output().unwrap().stderr)
    };
    let told = list("itemlift=loud");
    assert!(
        told.contains("itemlift=loud") && told.contains("itemlift=debug"),
        "{told}"
    );
    for good in ["", "itemlift=error"] {
        assert!(!list(good).contains("ITEMLIFT_LOG"));
    }
}

#[test]
fn from_another_machine_with_a_token() {
    let site = Site::new();
    let server = site.serve();
    let token = fs::read_to_string(site.state().join("api.token")).unwrap();
    let address = format!("127.0.0.1:{}", site.port);
    let ask = |ca: &Path, token: Option<&str>| {
        let mut command = itemlift([
            "grant", "list", "--format", "json", "--server", &address, "--ca",
        ]);
        command.arg(ca);
        if let Some(token) = token {
            command.env("ITEMLIFT_TOKEN", token);
        }
        command
    };
    let ca = site.state().join("ca.pem");
    assert_eq!(
        json(&succeeds(&mut ask(&ca, Some(&token)))),
        Value::Array(vec![])
    );
    assert!(fails(&mut ask(&ca, None)).contains("ITEMLIFT_TOKEN"));
    let wrong = "0".repeat(64);
    assert!(fails(&mut ask(&ca, Some(&wrong))).contains("token"));
    let other = Site::new();
    let error = fails(&mut ask(&other.state().join("ca.pem"), Some(&token)));
    assert!(
        error.contains("certificate") && error.contains("with --ca"),
        "{error}"
    );
    assert!(fails(&mut ask(&site.out("none"), Some(&token))).contains("cannot be read"));
    let empty = site.out("empty.pem");
    fs::write(&empty, "no PEM").unwrap();
    assert!(fails(&mut ask(&empty, Some(&token))).contains("holds no certificate"));
    let mut no_port = itemlift(["grant", "list", "--server", "127.0.0.1", "--ca"]);
    let error = fails(no_port.arg(&ca).env("ITEMLIFT_TOKEN", &token));
    assert!(error.contains("not HOST:PORT"), "{error}");
    server.stop();
}

#[test]
fn old_points_are_told_of_and_shown_when_asked_for() {
    let site = Site::new();
    let old = site.source().join("web01/2020-01-01T00-00-00Z");
    fs::create_dir_all(&old).unwrap();
    fs::File::create(old.join("disk0.raw"))
        .unwrap()
        .set_len(512)
        .unwrap();
    let server = site.serve();
    let list = |more: &[&str]| -> Output {
        site.run(["point", "list", "--format", "json"])
            .args(more)
            .output()
            .unwrap()
    };
    let recent = list(&[]);
    assert!(recent.status.success());
    assert!(!text(&recent.stdout).contains("2020-01-01"));
    assert!(text(&recent.stderr).contains("older"), "{recent:?}");
    let all = list(&["--since", "2019-12-31"]);
    assert_eq!(json(&text(&all.stdout)).as_array().unwrap().len(), 2);
    assert!(all.stderr.is_empty());
    let day = list(&["--since", "2020-01-01", "--until", "2020-01-01"]);
    assert_eq!(json(&text(&day.stdout)).as_array().unwrap().len(), 1);
    let wrong = fails(&mut site.run(["point", "list", "--since", "yesterday"]));
    assert!(wrong.contains("yesterday"), "{wrong}");
    server.stop();
}
