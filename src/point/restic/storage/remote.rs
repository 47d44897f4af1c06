//! Storage behind a network: every call ends within a bound, whatever the other side does.
//!
//! A call that fails for a reason that may pass is tried again a few times; together they take less
//! than the 30 s after which an initiator gives a command up.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::runtime::{Builder, Runtime};

use super::object::ObjectStore;
use super::rest::RestServer;
use super::sftp::SftpServer;
use super::{File, Kind, Part, Storage};
use crate::point::restic::error::{RepositoryError, StorageFault};
use crate::point::restic::id::Id;
use crate::point::restic::location::Service;
use crate::point::restic::options::Options;

/// Time to connect, and time without a byte.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(5);
pub(super) const STALL_TIME: Duration = Duration::from_secs(8);

/// One try has this time, and more for many bytes: at the least rate that is borne.
const TRY_TIME: Duration = Duration::from_secs(8);
const LEAST_BYTES_PER_SECOND: u64 = 512 * 1024;

/// One try at a list, or at a file whose length is not known.
const LONG_TRY_TIME: Duration = Duration::from_secs(120);

/// Tries of one call, when they begin within this time of the first.
const TRIES: u32 = 4;
const TRIES_TIME: Duration = Duration::from_secs(16);

/// Pause before the second try; each further one is three times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Threads that carry requests of one repository.
const NETWORK_THREADS: usize = 2;

/// A storage behind a network, with threads of its own for it.
pub(in crate::point::restic) struct Remote {
    server: Server,
    /// Taken when it is dropped, which may be where blocking is not allowed.
    network: Option<Runtime>,
    secrets: Vec<String>,
}

enum Server {
    Rest(RestServer),
    Sftp(SftpServer),
    Object(ObjectStore),
}

/// What became of one try.
#[derive(Debug)]
pub(super) enum TryFault {
    /// The next try would end the same way.
    Final(StorageFault),
    /// It may pass.
    Passing(String),
    /// It is not what it should be; content is told from other content by its sum.
    Wrong { sum: Id, error: RepositoryError },
}

impl Remote {
    /// A restic REST server.
    pub(super) fn rest(
        url: &Url,
        said: &BTreeMap<String, String>,
        more: &Options,
    ) -> Result<Storage, RepositoryError> {
        let options = merge(said, more);
        Remote::start(&options, || {
            RestServer::new(url, &options).map(Server::Rest)
        })
    }

    /// A folder of another machine.
    pub(super) fn sftp(
        said: &BTreeMap<String, String>,
        more: &Options,
    ) -> Result<Storage, RepositoryError> {
        let options = merge(said, more);
        Remote::start(&options, || SftpServer::new(&options).map(Server::Sftp))
    }

    /// A storage that OpenDAL speaks to.
    pub(super) fn object(
        service: Service,
        said: &BTreeMap<String, String>,
        more: &Options,
    ) -> Result<Storage, RepositoryError> {
        let options = merge(said, more);
        Remote::start(&options, || {
            ObjectStore::new(service, &options).map(Server::Object)
        })
    }

    fn start(
        options: &BTreeMap<String, String>,
        connect: impl FnOnce() -> Result<Server, String>,
    ) -> Result<Storage, RepositoryError> {
        // Of two crates with a provider each, a client must be told which.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let network = Builder::new_multi_thread()
            .worker_threads(NETWORK_THREADS)
            .thread_name("repository")
            .enable_all()
            .build()
            .map_err(|error| RepositoryError::Options(error.to_string()))?;
        let entered = network.enter();
        let secrets: Vec<String> = options
            .iter()
            .filter(|(name, value)| is_secret(name) && !value.is_empty())
            .map(|(_, value)| value.clone())
            .collect();
        let server =
            connect().map_err(|reason| RepositoryError::Options(without(&secrets, reason)))?;
        drop(entered);
        Ok(Storage::Remote(Box::new(Remote {
            server,
            network: Some(network),
            secrets,
        })))
    }

    pub(super) fn list(&self, kind: Kind) -> Result<Vec<String>, RepositoryError> {
        self.with_tries(&kind, LONG_TRY_TIME, async || match &self.server {
            Server::Rest(server) => server.list(kind.folder()).await,
            Server::Sftp(server) => server.list(kind.folder()).await,
            Server::Object(store) => store.list(kind.folder()).await,
        })
    }

    /// What `check` makes of a file's bytes.
    pub(super) fn read<T>(
        &self,
        file: File,
        part: Part,
        check: impl Fn(&[u8]) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        let time = match part {
            Part::Whole { .. } => LONG_TRY_TIME,
            Part::Range { length, .. } => {
                TRY_TIME + Duration::from_secs(u64::from(length) / LEAST_BYTES_PER_SECOND)
            }
        };
        self.with_tries(&file, time, async || {
            let content = match &self.server {
                Server::Rest(server) => server.read(file, part).await,
                Server::Sftp(server) => server.read(file, part).await,
                Server::Object(store) => store.read(file, part).await,
            }?;
            check(&content).map_err(|error| TryFault::Wrong {
                sum: Id::of(&content),
                error,
            })
        })
    }

    /// Tries until something is right, or wrong in a way that does not pass: such as the same wrong content again.
    fn with_tries<T>(
        &self,
        file: &dyn fmt::Display,
        time: Duration,
        attempt: impl AsyncFn() -> Result<T, TryFault>,
    ) -> Result<T, RepositoryError> {
        let Some(network) = &self.network else {
            let stopping = "the server is stopping".to_owned();
            return Err(StorageFault::Unreachable(stopping).of(file));
        };
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        let mut wrong = None;
        network.block_on(async {
            loop {
                let tried = tokio::time::timeout(time, attempt()).await;
                let passing = match tried {
                    Ok(Ok(found)) => return Ok(found),
                    Ok(Err(TryFault::Final(fault))) => return Err(self.shown(fault).of(file)),
                    Ok(Err(TryFault::Wrong { sum, error })) => {
                        if wrong.replace(sum) == Some(sum) {
                            return Err(error);
                        }
                        Err(error)
                    }
                    Ok(Err(TryFault::Passing(reason))) => Ok(reason),
                    Err(_) => Ok(format!("it took longer than {} s", time.as_secs())),
                };
                if tries >= TRIES || begun.elapsed() + pause >= TRIES_TIME {
                    let reason = passing.map(|reason| format!("{reason} ({tries} tries)"))?;
                    return Err(self.shown(StorageFault::Unreachable(reason)).of(file));
                }
                tokio::time::sleep(pause).await;
                pause *= 3;
                tries += 1;
            }
        })
    }

    fn shown(&self, fault: StorageFault) -> StorageFault {
        match fault {
            StorageFault::Denied(reason) => StorageFault::Denied(without(&self.secrets, reason)),
            StorageFault::Unreachable(reason) => {
                StorageFault::Unreachable(without(&self.secrets, reason))
            }
            StorageFault::Missing | StorageFault::Short => fault,
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(network) = self.network.take() {
            network.shutdown_background();
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.server {
            Server::Rest(_) => "Remote(rest)",
            Server::Sftp(_) => "Remote(sftp)",
            Server::Object(_) => "Remote(object)",
        })
    }
}

/// What the table says goes before what the location says.
fn merge(said: &BTreeMap<String, String>, more: &Options) -> BTreeMap<String, String> {
    let mut options = said.clone();
    options.extend(more.iter().map(|(name, value)| (name.to_owned(), value)));
    options
}

/// Which options are credentials.
fn is_secret(name: &str) -> bool {
    ["key", "token", "password", "username"]
        .iter()
        .any(|part| name.contains(part))
}

/// A message of a library, without what it may have copied from the options.
fn without(secrets: &[String], reason: String) -> String {
    secrets
        .iter()
        .fold(reason, |reason, secret| reason.replace(secret, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_of_the_options_is_in_a_message() {
        let options: Options =
            toml::from_str("access_key_id = 'AKIA1'\nsecret_access_key = 's3cr3t'").unwrap();
        let merged = merge(&BTreeMap::new(), &options);
        let storage = Remote::start(&merged, || Err("bad s3cr3t of AKIA1".to_owned()));
        let message = storage.unwrap_err().to_string();
        assert!(message.contains("bad *** of ***"), "{message}");
    }
}
