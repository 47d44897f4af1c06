//! A state directory with one VM to offer, and `itemlift` run in it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const POINT: &str = "2026-11-20T02-00-00Z";

/// `itemlift` with these arguments, and nothing of this process's environment that it reads.
pub(crate) fn itemlift<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
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

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output of a command that succeeds.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    text(&output.stdout)
}

/// The one sentence of a command that fails with status 1.
pub(crate) fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
    let error = text(&output.stderr);
    assert!(error.starts_with("itemlift: "), "{error}");
    assert_eq!(error.lines().count(), 1, "one sentence: {error}");
    assert!(output.stdout.is_empty(), "{output:?}");
    error
}

pub(crate) fn usage_error(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {output:?}");
    text(&output.stderr)
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A state directory with one VM to offer. Its path has spaces and letters beyond ASCII on purpose.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
}

/// A server; killed if a test ends without stopping it.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM).unwrap();
        let asked = Instant::now();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
        assert!(asked.elapsed() < Duration::from_secs(6));
    }
}

impl Site {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("stäte dir")
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("my backups")
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a configuration that listens on loopback, with more lines.
    pub(crate) fn configure(&self, more: &str) {
        let config = format!(
            "site = \"berlin\"\nlisten = [\"127.0.0.1:{port}\"]\n{more}\n[[source]]\nkind = \"images\"\npath = {path:?}\n",
            port = self.port,
            path = self.source().to_str().unwrap(),
        );
        fs::write(self.state().join("itemlift.toml"), config).unwrap();
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = itemlift(["--state"]);
        command
            .arg(self.state())
            .args(arguments)
            .current_dir(self.dir.path());
        command
    }

    pub(crate) fn serve(&self) -> Running {
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

    pub(crate) fn create(&self, os: &str, out: &Path) -> Value {
        let arguments = [
            "grant", "create", "--vm", "web01", "--os", os, "--format", "json", "--out",
        ];
        json(&succeeds(self.run(arguments).arg(out)))
    }

    pub(crate) fn grants(&self) -> Vec<Value> {
        let list = succeeds(&mut self.run(["grant", "list", "--format", "json"]));
        json(&list).as_array().unwrap().clone()
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}
