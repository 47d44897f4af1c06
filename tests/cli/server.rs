//! `init` and `serve`: once, with a configuration that can be used, and telling a service manager.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::site::{Running, Site, fails, itemlift, mode, succeeds};

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
fn a_configuration_that_cannot_be_used_says_why() {
    let site = Site::new();
    for (line, says) in [
        ("colour = \"red\"", ["line 3", "colour"]),
        ("plain = \"192.0.2.1:3261\"", ["line 3", "loopback"]),
        ("plain = \"0.0.0.0:3261\"", ["line 3", "loopback"]),
        (
            "plain = \"3261\"",
            ["line 3", "\"3261\" is not ADDRESS:PORT"],
        ),
        ("advertise = \"here\"", ["line 3", "HOST:PORT"]),
        (
            "[[source]]\nkind = \"images\"\npath = \"backups\"",
            ["\"backups\"", "from / on"],
        ),
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
fn a_low_limit_on_open_files_is_raised_or_told_of() {
    let site = Site::new();
    let open_files = |limit: &str| {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                &format!("{limit} && exec \"$0\" --state \"$1\" serve"),
            ])
            .arg(env!("CARGO_BIN_EXE_itemlift"))
            .arg(site.state())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut server = Running(command.spawn().unwrap());
        let mut ready = String::new();
        let stdout = server.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.0.id())).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let words: Vec<&str> = line.unwrap().split_whitespace().collect();
        let (soft, hard) = (words[3].to_owned(), words[4].to_owned());
        let mut log = server.0.stderr.take().unwrap();
        server.stop();
        let mut said = String::new();
        log.read_to_string(&mut said).unwrap();
        (soft, hard, said)
    };
    let (soft, hard, _) = open_files("ulimit -Sn 100");
    assert_eq!(soft, hard);
    let (soft, _, said) = open_files("ulimit -n 500");
    assert_eq!(soft, "500");
    assert!(
        said.contains("500 open files") && said.contains("LimitNOFILE"),
        "{said}"
    );
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
