//! A server as a process of its own, whose threads, memory and open files can be counted.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use itemlift::tunnel::Bundle;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::support::{POINT, VM};

const ITEMLIFT: &str = env!("CARGO_BIN_EXE_itemlift");

/// A running server; killed if a test ends without stopping it.
pub(crate) struct Process {
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
    site: Arc<Site>,
    child: Child,
    traced: bool,
}

/// Where a server keeps its things.
pub(crate) struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let site = Arc::new(Self { dir });
        fs::create_dir_all(site.point()).unwrap();
        done(
            Command::new(ITEMLIFT)
                .args(["init", "--host", "localhost", "--state"])
                .arg(site.state()),
        );
        site
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The folder of the recovery point.
    pub(crate) fn point(&self) -> PathBuf {
        self.dir.path().join("source").join(VM).join(POINT)
    }

    /// Another folder of VMs, which is a source only for those who name it.
    pub(crate) fn other_source(&self) -> PathBuf {
        self.dir.path().join("other")
    }

    /// Starts the server, under strace with these words if there are some.
    pub(crate) fn serve(self: &Arc<Self>, tracer: &[String]) -> Process {
        self.serve_sources(&[], tracer)
    }

    /// Starts the server with more sources than the one.
    pub(crate) fn serve_sources(self: &Arc<Self>, more: &[PathBuf], tracer: &[String]) -> Process {
        let [tls, plain] = [(); 2].map(|()| {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap()
        });
        let source = self.dir.path().join("source");
        let mut config = format!("site = \"test\"\nlisten = [\"{tls}\"]\nplain = \"{plain}\"\n");
        for path in std::iter::once(&source).chain(more) {
            config.push_str(&format!("[[source]]\nkind = \"images\"\npath = {path:?}\n"));
        }
        fs::write(self.state().join("itemlift.toml"), config).unwrap();
        let words = tracer.iter().map(String::as_str);
        let mut words = words.chain([ITEMLIFT, "serve", "--state"]);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .arg(self.state())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{tracer:?}: {error}: scripts/apt-tools.sh installs it")
            });
        let mut ready = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let process = Process {
            tls,
            plain,
            site: Arc::clone(self),
            child,
            traced: !tracer.is_empty(),
        };
        assert!(ready.starts_with("itemlift is ready"), "{ready}");
        process
    }
}

impl Process {
    /// A grant on the recovery point.
    pub(crate) fn grant(&self) -> Bundle {
        let file = self.site.dir.path().join("bundle.json");
        let _ = fs::remove_file(&file);
        let words = ["grant", "create", "--vm", VM, "--os", "bundle", "--out"];
        done(
            Command::new(ITEMLIFT)
                .args(words)
                .arg(&file)
                .arg("--state")
                .arg(self.site.state()),
        );
        Bundle::load(&file).unwrap()
    }

    /// What a command that must succeed prints.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let mut command = Command::new(ITEMLIFT);
        command.args(words).arg("--state").arg(self.site.state());
        done(&mut command)
    }

    pub(crate) async fn connect_plain(&self) -> TcpStream {
        let stream = TcpStream::connect(self.plain).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Bytes of memory that are its own.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        number_of(&status, "VmRSS:") * 1024
    }

    pub(crate) fn threads(&self) -> u64 {
        number_of(
            &fs::read_to_string(self.proc("status")).unwrap(),
            "Threads:",
        )
    }

    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join(name)
    }

    /// Stops it; the site is left.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // Under strace it is gone only when the last of its reads is let go.
        if !self.traced {
            let _ = self.child.wait();
        }
    }
}

fn number_of(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a program under strace, which does as these options of its `-e` say to the system calls that touch this path.
pub(crate) fn tampered(path: &Path, what: &[&str]) -> Vec<String> {
    let strace = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        "/dev/null",
        "-P",
    ];
    let mut words: Vec<String> = strace.map(str::to_owned).to_vec();
    words.push(path.to_str().unwrap().to_owned());
    for option in what {
        words.extend(["-e".to_owned(), (*option).to_owned()]);
    }
    words
}
