//! `bench`: reads, compares, tells what went wrong, ends when asked to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::site::{POINT, Running, Site, fails, itemlift, json, text, usage_error};

/// A site whose image tells every place from every other, its server, and a bundle.
fn bed(site: &Site) -> (Running, PathBuf) {
    let content: Vec<u8> = (0..1_u64 << 17).flat_map(u64::to_be_bytes).collect();
    fs::write(image(site), content).unwrap();
    let server = site.serve();
    let bundle = site.out("bundle.json");
    site.create("bundle", &bundle);
    (server, bundle)
}

fn image(site: &Site) -> PathBuf {
    site.source().join("web01").join(POINT).join("disk0.raw")
}

fn bench(bundle: &Path, more: &[&str]) -> Command {
    let mut command = itemlift(["bench", "--format", "json", "--seconds", "1", "--bundle"]);
    command.arg(bundle).args(more);
    command
}

fn report(output: &Output) -> Value {
    json(&text(&output.stdout))
}

#[test]
fn what_is_read_is_counted_and_compared() {
    let site = Site::new();
    let (server, bundle) = bed(&site);
    for pattern in ["random", "sequential"] {
        let output = bench(
            &bundle,
            &["--sessions", "3", "--queue-depth", "7", "--block", "64K"],
        )
        .args(["--pattern", pattern, "--verify"])
        .arg(image(&site))
        .output()
        .unwrap();
        assert!(output.status.success(), "{output:?}");
        let report = report(&output);
        let reads = report["reads"].as_u64().unwrap();
        assert!(reads > 21, "{report}");
        assert_eq!(report["bytes"], reads * 65_536);
        assert_eq!(
            (&report["sessions"], &report["errors"]),
            (&3.into(), &0.into())
        );
        let latency = |name: &str| report["latency"][name].as_f64().unwrap();
        assert!(latency("p50_us") > 0.0 && latency("p50_us") <= latency("p99_us"));
        assert!(latency("p99_9_us") <= latency("max_us") && latency("max_us") < 2e6);
    }
    server.stop();
}

#[test]
fn wrong_data_is_an_error_that_says_where() {
    let site = Site::new();
    let (server, bundle) = bed(&site);
    let reference = site.out("reference.raw");
    fs::copy(image(&site), &reference).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&reference).unwrap();
    file.write_all_at(b"!", 700_001).unwrap();
    let output = bench(&bundle, &["--pattern", "sequential", "--verify"])
        .arg(&reference)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report = report(&output);
    assert_eq!(report["first_difference"], 700_001);
    let errors = report["errors"].as_u64().unwrap();
    assert_eq!(report["errors_by_kind"]["wrong data"], errors);
    // One block of 256 is wrong.
    let reads = report["reads"].as_u64().unwrap();
    assert!(errors > 0 && reads >= 200 * errors, "{report}");
    assert!(text(&output.stderr).contains("errors"), "{output:?}");

    file.set_len(4096).unwrap();
    let error = fails(
        bench(&bundle, &["--verify"])
            .arg(&reference)
            .stderr(Stdio::piped()),
    );
    assert!(error.contains("4096 bytes"), "{error}");
    server.stop();
}

#[test]
fn a_medium_error_is_counted_by_kind() {
    let site = Site::new();
    let (server, bundle) = bed(&site);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(image(&site))
        .unwrap();
    file.set_len(512 * 1024).unwrap();
    let output = bench(&bundle, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report = report(&output);
    let kinds = report["errors_by_kind"].as_object().unwrap();
    assert_eq!(kinds.len(), 1, "{report}");
    assert!(
        kinds.keys().all(|kind| kind.contains("3h/11h/00h")),
        "{report}"
    );
    server.stop();
}

#[test]
fn it_ends_when_asked_to_and_reports() {
    let site = Site::new();
    let (server, bundle) = bed(&site);
    for flags in [&["--idle"][..], &[]] {
        let mut command = itemlift(["bench", "--seconds", "600", "--sessions", "2", "--bundle"]);
        let child = command
            .arg(&bundle)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut logged_in = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut logged_in).unwrap();
        assert!(logged_in.starts_with("2 sessions logged in"), "{logged_in}");
        let asked = Instant::now();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(asked.elapsed() < Duration::from_secs(8));
        let mut table = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut table)
            .unwrap();
        assert!(table.contains("errors"), "{table}");
        assert_eq!(
            table.contains("2 sessions, idle, "),
            flags == ["--idle"],
            "{table}"
        );
    }
    server.stop();
}

#[test]
fn what_cannot_be_measured_says_why() {
    let site = Site::new();
    let (server, bundle) = bed(&site);
    let path = bundle.to_str().unwrap();
    for flags in [
        &["bench"][..],
        &["bench", "--bundle", path, "--block", "4095"],
        &["bench", "--bundle", path, "--sessions", "0"],
        &["bench", "--bundle", path, "--queue-depth", "257"],
        &["bench", "--bundle", path, "--idle", "--block", "4K"],
    ] {
        usage_error(&mut itemlift(flags));
    }
    let error = fails(&mut bench(&site.out("none"), &[]));
    assert!(error.contains("cannot read the bundle"), "{error}");
    let error = fails(&mut bench(&bundle, &["--lun", "9"]));
    assert!(
        error.contains("no LUN 9") && error.contains("0 (\"disk0.raw\")"),
        "{error}"
    );
    let error = fails(&mut bench(&bundle, &["--block", "2M"]));
    assert!(
        error.contains("2097152") && error.contains("--block"),
        "{error}"
    );
    let error = fails(&mut bench(&bundle, &["--plain", "127.0.0.1:1"]));
    assert!(
        error.contains("127.0.0.1:1") && error.contains("session 1 of 1"),
        "{error}"
    );
    let error = fails(&mut limited("ulimit -n 100", &bundle));
    assert!(
        error.contains("114 open files") && error.contains("100"),
        "{error}"
    );
    let grant = site.grants()[0]["grant"].as_str().unwrap().to_owned();
    assert!(
        site.run(["grant", "revoke", &grant])
            .output()
            .unwrap()
            .status
            .success()
    );
    let error = fails(&mut bench(&bundle, &[]));
    assert!(error.contains("revoked"), "{error}");
    server.stop();
}

#[test]
fn a_low_soft_limit_on_open_files_is_raised() {
    let site = Site::new();
    let (server, bundle) = bed(&site);
    let output = limited("ulimit -Sn 40", &bundle).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    server.stop();
}

/// 50 sessions below a limit of the shell's.
fn limited(limit: &str, bundle: &Path) -> Command {
    let mut command = Command::new("sh");
    let bench = format!("{limit} && exec \"$0\" bench --sessions 50 --seconds 1 --bundle \"$1\"");
    command
        .args(["-c", &bench, env!("CARGO_BIN_EXE_itemlift")])
        .arg(bundle);
    command
}

/// Nobody takes part in the login; the first TCP connection alone is accepted by the system.
#[test]
fn a_target_that_never_answers_is_given_up() {
    let site = Site::new();
    let (server, bundle) = bed(&site);
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let begun = Instant::now();
    let error = fails(bench(&bundle, &["--plain"]).arg(&address));
    assert!(error.contains("did not answer within 30 s"), "{error}");
    let took = begun.elapsed().as_secs();
    assert!((30..60).contains(&took), "{took} s");
    server.stop();
}
