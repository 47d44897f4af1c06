//! The command line against a real server: what others script against, and every wrong input.
#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const POINT: &str = "2026-11-20T02-00-00Z";

/// `itemlift` with these arguments, and nothing of this process's environment that it reads.
fn itemlift<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_itemlift"));
    command.args(arguments).stdin(Stdio::null());
    for variable in [
        "ITEMLIFT_STATE",
        "ITEMLIFT_TOKEN",
        "ITEMLIFT_LOG",
        "SUDO_USER",
    ] {
        command.env_remove(variable);
    }
    command.env("USER", "alice");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output of a command that succeeds.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    text(&output.stdout)
}

/// The one sentence of a command that fails with status 1.
fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
    let error = text(&output.stderr);
    assert!(error.starts_with("itemlift: "), "{error}");
    assert_eq!(error.lines().count(), 1, "one sentence: {error}");
    assert!(output.stdout.is_empty(), "{output:?}");
    error
}

fn usage_error(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {output:?}");
    text(&output.stderr)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A state directory with one VM to offer. Its path has spaces and letters beyond ASCII on purpose.
struct Site {
    dir: TempDir,
    port: u16,
}

/// A server; killed if a test ends without stopping it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn stop(mut self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM).unwrap();
        let asked = Instant::now();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
        assert!(asked.elapsed() < Duration::from_secs(6));
    }
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        let site = Self { dir, port };
        let image = site.source().join("web01").join(POINT);
        fs::create_dir_all(&image).unwrap();
        let image = fs::File::create(image.join("disk0.raw")).unwrap();
        image.set_len(1 << 20).unwrap();
        succeeds(&mut site.run(["init", "--site", "berlin"]));
        site.configure("");
        site
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("stäte dir")
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("my backups")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a configuration that listens on loopback, with more lines.
    fn configure(&self, more: &str) {
        let config = format!(
            "site = \"berlin\"\nlisten = [\"127.0.0.1:{port}\"]\n{more}\n[[source]]\nkind = \"images\"\npath = {path:?}\n",
            port = self.port,
            path = self.source().to_str().unwrap(),
        );
        fs::write(self.state().join("itemlift.toml"), config).unwrap();
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = itemlift(["--state"]);
        command
            .arg(self.state())
            .args(arguments)
            .current_dir(self.dir.path());
        command
    }

    fn serve(&self) -> Running {
        let mut child = self
            .run(["serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let running = Running(child);
        assert!(ready.starts_with("itemlift is ready"), "{ready}");
        assert!(
            ready.contains(&format!("127.0.0.1:{}", self.port)),
            "{ready}"
        );
        running
    }

    fn create(&self, os: &str, out: &Path) -> Value {
        let arguments = [
            "grant", "create", "--vm", "web01", "--os", os, "--format", "json", "--out",
        ];
        json(&succeeds(self.run(arguments).arg(out)))
    }

    fn grants(&self) -> Vec<Value> {
        let list = succeeds(&mut self.run(["grant", "list", "--format", "json"]));
        json(&list).as_array().unwrap().clone()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

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
fn a_server_is_initialised_once() {
    let site = Site::new();
    let again = fails(&mut site.run(["init"]));
    assert!(again.contains("already"), "{again}");
    let started = Instant::now();
    let state = site.out("other");
    succeeds(itemlift(["init", "--host", "recovery.example.com", "--state"]).arg(&state));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "RSA in a debug build"
    );
    let config = fs::read_to_string(state.join("itemlift.toml")).unwrap();
    assert!(
        config.contains("advertise = \"recovery.example.com:3260\""),
        "{config}"
    );
    assert_eq!(mode(&state), 0o700);
    let wrong = fails(itemlift(["init", "--host", "a b", "--state"]).arg(site.out("third")));
    assert!(wrong.contains("a b"), "{wrong}");
}

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
    let help = succeeds(&mut itemlift(["grant", "create", "--help"]));
    assert!(
        help.contains("Examples:") && help.contains("--lifetime"),
        "{help}"
    );
}

#[test]
fn a_configuration_that_cannot_be_used_says_why() {
    let site = Site::new();
    for (line, says) in [
        ("colour = \"red\"", ["line 3", "colour"]),
        ("plain = \"192.0.2.1:3261\"", ["line 3", "loopback"]),
        ("plain = \"0.0.0.0:3261\"", ["line 3", "loopback"]),
        ("advertise = \"here\"", ["line 3", "HOST:PORT"]),
        (
            "[[source]]\nkind = \"tape\"\npath = \"/x\"",
            ["itemlift.toml", "tape"],
        ),
        (
            "[[source]]\nkind = \"images\"\npath = \"/x\"\ncolour = 1",
            ["itemlift.toml", "colour"],
        ),
    ] {
        site.configure(line);
        for command in ["serve", "list"] {
            let mut command = match command {
                "serve" => site.run(["serve"]),
                _ => site.run(["grant", "list"]),
            };
            let error = fails(&mut command);
            for part in says {
                assert!(error.contains(part), "{line}: {error}");
            }
        }
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let site = Site::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, site.port)).unwrap();
    let error = fails(&mut site.run(["serve"]));
    assert!(
        error.contains("in use") && error.contains(&site.port.to_string()),
        "{error}"
    );
    drop(taken);

    let server = site.serve();
    let error = fails(&mut site.run(["serve"]));
    assert!(error.contains("another itemlift server"), "{error}");
    server.stop();

    let open = |mode| fs::set_permissions(site.state(), fs::Permissions::from_mode(mode)).unwrap();
    open(0o755);
    for command in [["serve", "--state"], ["grant", "list"]] {
        let mut command = match command[0] {
            "serve" => site.run(["serve"]),
            _ => site.run(command),
        };
        let error = fails(&mut command);
        assert!(
            error.contains("others") && error.contains("chmod"),
            "{error}"
        );
    }
    open(0o700);

    let token = site.state().join("api.token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(fails(&mut site.run(["serve"])).contains("api.token"));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();

    let key = site.state().join("keys/state.key");
    let kept = fs::read(&key).unwrap();
    site.serve().stop();
    fs::write(&key, [9; 32]).unwrap();
    let error = fails(&mut site.run(["serve"]));
    assert!(error.contains("does not belong"), "{error}");
    fs::write(&key, [9; 31]).unwrap();
    assert!(fails(&mut site.run(["serve"])).contains("32 bytes"));
    fs::write(&key, kept).unwrap();
    site.serve().stop();

    let error = fails(itemlift(["serve", "--state"]).arg(site.out("nowhere")));
    assert!(error.contains("itemlift init"), "{error}");
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
    assert!(error.contains("certificate"), "{error}");
    assert!(fails(&mut ask(&site.out("none"), Some(&token))).contains("cannot be read"));
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

#[test]
fn a_ready_service_manager_is_told() {
    let site = Site::new();
    let path = site.out("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let child = site
        .run(["serve"])
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    let mut news = [0; 64];
    let length = socket.recv(&mut news).unwrap();
    assert_eq!(&news[..length], b"READY=1");
    running.stop();
    let length = socket.recv(&mut news).unwrap();
    assert_eq!(&news[..length], b"STOPPING=1");
}
