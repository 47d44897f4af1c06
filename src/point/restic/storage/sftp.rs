//! SFTP by the program `ssh`. Each connection is a process of its own that ends with its pipes: nothing of it is left when the
//! server ends, however that happens.

mod dialogue;
mod packet;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::dialogue::Dialogue;
use super::remote::{CONNECT_TIME, STALL_TIME, TryFault};
use super::{File, Part};

/// Connections to one server. Its sshd lets in 10 at one time that have not shown who they are (`MaxStartups`).
const SFTP_CONNECTIONS: usize = 8;

/// What `ssh` may say about its failure, in bytes, and the time that it has for it.
const MAX_LAST_WORDS: u64 = 4096;
const LAST_WORDS_TIME: Duration = Duration::from_secs(1);

/// A server and how to come to it.
#[derive(Debug)]
pub(super) struct SftpServer {
    /// Arguments of `ssh`.
    arguments: Vec<String>,
    /// Put before each path.
    folder: String,
    places: Semaphore,
    /// Connections that nobody uses just now.
    idle: Mutex<Vec<Connection>>,
}

/// A process of `ssh`, which ends when this is dropped.
#[derive(Debug)]
struct Connection {
    dialogue: Dialogue<BufReader<ChildStdout>, ChildStdin>,
    errors: ChildStderr,
    _process: Child,
}

impl SftpServer {
    pub(super) fn new(options: &BTreeMap<String, String>) -> Result<SftpServer, String> {
        let option = |name: &str| options.get(name).filter(|value| !value.is_empty());
        let endpoint = option("endpoint").ok_or("endpoint names no host")?;
        let root = option("root").map_or("", |root| root.trim_matches('/'));
        Ok(SftpServer {
            arguments: arguments(
                endpoint,
                option("user"),
                option("key"),
                option("known_hosts_strategy"),
            )?,
            folder: match root {
                "" => String::new(),
                root => format!("/{root}"),
            },
            places: Semaphore::new(SFTP_CONNECTIONS),
            idle: Mutex::default(),
        })
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<String>, TryFault> {
        let path = self.path(folder);
        self.call(async |dialogue| dialogue.list(path.as_bytes()).await)
            .await
    }

    pub(super) async fn read(&self, file: File, part: Part) -> Result<Vec<u8>, TryFault> {
        let path = self.path(&file.to_string());
        self.call(async |dialogue| dialogue.read(path.as_bytes(), part).await)
            .await
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Does something on a connection. One that failed is not used again, nor are those that were idle meanwhile: they lead
    /// to the same server. A call that is given up takes its connection with it.
    async fn call<T>(
        &self,
        what: impl AsyncFnOnce(&mut Dialogue<BufReader<ChildStdout>, ChildStdin>) -> Result<T, TryFault>,
    ) -> Result<T, TryFault> {
        let _place = self.places.acquire().await;
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.arguments).await?,
        };
        match what(&mut connection.dialogue).await {
            Err(TryFault::Passing(reason)) => {
                self.idle().clear();
                Err(TryFault::Passing(connection.last_words(reason).await))
            }
            outcome => {
                self.idle().push(connection);
                outcome
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    async fn open(arguments: &[String]) -> Result<Connection, TryFault> {
        let mut process = Command::new("ssh")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| TryFault::Passing(format!("ssh cannot be started: {error}")))?;
        let pipes = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
        );
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(TryFault::Passing(
                "ssh was started without pipes".to_owned(),
            ));
        };
        match Dialogue::begin(BufReader::new(output), input).await {
            Ok(dialogue) => Ok(Connection {
                dialogue,
                errors,
                _process: process,
            }),
            Err(TryFault::Passing(reason)) => {
                Err(TryFault::Passing(last_words(errors, reason).await))
            }
            Err(fault) => Err(fault),
        }
    }

    async fn last_words(self, reason: String) -> String {
        drop(self.dialogue);
        last_words(self.errors, reason).await
    }
}

/// A reason with what `ssh` said last.
async fn last_words(errors: ChildStderr, reason: String) -> String {
    let mut text = Vec::new();
    let mut errors = errors.take(MAX_LAST_WORDS);
    // If it says nothing, the reason alone has to do.
    let _ = timeout(LAST_WORDS_TIME, errors.read_to_end(&mut text)).await;
    let text = String::from_utf8_lossy(&text);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{reason}: {}", line.trim()),
        None => reason,
    }
}

/// What `ssh` is started with. It asks nobody anything, and takes or leaves no connection that others share.
fn arguments(
    endpoint: &str,
    user: Option<&String>,
    key: Option<&String>,
    strategy: Option<&String>,
) -> Result<Vec<String>, String> {
    let strategy = strategy.map(|strategy| strategy.to_ascii_lowercase());
    let checking = match strategy.as_deref() {
        None | Some("strict") => "yes",
        Some("add") => "accept-new",
        Some("accept") => "no",
        Some(_) => return Err("known_hosts_strategy is none of strict, add, accept".to_owned()),
    };
    let mut arguments = Vec::new();
    for option in [
        "BatchMode=yes".to_owned(),
        format!("StrictHostKeyChecking={checking}"),
        format!("ConnectTimeout={}", CONNECT_TIME.as_secs()),
        // A network that is silent ends it, too.
        format!("ServerAliveInterval={}", STALL_TIME.as_secs()),
        "ServerAliveCountMax=1".to_owned(),
        "ControlMaster=no".to_owned(),
        "ControlPath=none".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "LogLevel=ERROR".to_owned(),
    ] {
        arguments.extend(["-o".to_owned(), option]);
    }
    if let Some(key) = key {
        arguments.extend(["-o", "IdentitiesOnly=yes", "-i", key].map(str::to_owned));
    }
    if let Some(user) = user.filter(|_| !endpoint.contains('@')) {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    // What comes behind the dashes is no option.
    arguments.extend(["-T", "-s", "--", endpoint, "sftp"].map(str::to_owned));
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(options: &str) -> Result<String, String> {
        let options: BTreeMap<String, String> = toml::from_str(options).unwrap();
        SftpServer::new(&options).map(|server| server.arguments.join(" "))
    }

    #[test]
    fn ssh_is_told_where_to_and_as_whom() {
        let all = joined(
            "endpoint = 'ssh://host:2222'\nuser = 'backup'\nkey = '/k'\nknown_hosts_strategy = 'Add'",
        )
        .unwrap();
        assert!(all.starts_with("-o BatchMode=yes -o StrictHostKeyChecking=accept-new "));
        let end = " -o IdentitiesOnly=yes -i /k -l backup -T -s -- ssh://host:2222 sftp";
        assert!(all.ends_with(end), "{all}");
        // Who is named in the endpoint goes before.
        let endpoint = joined("endpoint = 'me@host'\nuser = 'backup'").unwrap();
        assert!(endpoint.contains("StrictHostKeyChecking=yes"), "{endpoint}");
        assert!(
            endpoint.ends_with("LogLevel=ERROR -T -s -- me@host sftp"),
            "{endpoint}"
        );
        for wrong in [
            "",
            "endpoint = ''",
            "endpoint = 'host'\nknown_hosts_strategy = 's3cr3t'",
        ] {
            let message = joined(wrong).unwrap_err();
            assert!(!message.contains("s3cr3t"), "{message}");
        }
    }

    #[test]
    fn paths_lie_below_the_root() {
        for (root, path) in [("/srv/restic/", "/srv/restic/config"), ("", "/config")] {
            let options = format!("endpoint = 'host'\nroot = '{root}'");
            let options: BTreeMap<String, String> = toml::from_str(&options).unwrap();
            let server = SftpServer::new(&options).unwrap();
            assert_eq!(server.path(&File::Config.to_string()), path);
        }
    }

    #[tokio::test]
    async fn what_ssh_says_is_told_when_it_ends() {
        // A host that is no host's name.
        let options: BTreeMap<String, String> =
            toml::from_str("endpoint = 'ssh://no.such.host.invalid'").unwrap();
        let server = SftpServer::new(&options).unwrap();
        match server.list("keys").await {
            Err(TryFault::Passing(reason)) => {
                assert!(reason.contains("no.such.host.invalid"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}
