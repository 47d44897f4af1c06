//! The server put together: configuration, recovery points, grants, data plane, API.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use chap::Algorithm;
use iscsi_proto::Policy;
use tokio_util::sync::CancellationToken;

use crate::api::{self, ApiToken, AppState};
use crate::config::{Config, Portal};
use crate::grant::audit::Audit;
use crate::grant::authority::{Authority, AuthorityError};
use crate::grant::clock::{Clock, SystemClock};
use crate::grant::seal::{KEY_LEN, SealError, SealingKey};
use crate::grant::{Grants, StoreError};
use crate::point::{Catalog, CatalogError, SourceConfig};
use crate::state_dir::{DATABASE_KEY, StateDir, StateDirError};
use crate::target::{self, BindError, DataPlane, Limits, Listeners, Sessions, Tls};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The key file has another length.
    #[error("the key file {0} is damaged: it does not hold 32 bytes")]
    Key(String),
    /// The key cannot be used.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Certificates are missing or damaged.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The state database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log cannot be opened.
    #[error("cannot open the audit log: {0}")]
    Audit(#[source] io::Error),
    /// The token is not text.
    #[error("the API token {0} is damaged: it is not text")]
    Token(String),
    /// The sources contradict each other.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Listening failed.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The TLS library refused our certificate.
    #[error("cannot use the server's certificate: {0}")]
    Tls(#[from] rustls::Error),
    /// A thread of ours failed.
    #[error("cannot open the sources: {0}")]
    Sources(#[from] tokio::task::JoinError),
}

/// A server that listens already and serves once [`Server::run`] is called.
pub struct Server {
    listeners: Listeners,
    tls: Tls,
    plane: Arc<DataPlane>,
    router: Router,
    grants: Arc<Grants>,
    portal: Portal,
    _lock: File,
}

impl Server {
    /// Opens everything in `state` and binds the listeners of `config`.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(state: &StateDir, config: &Config) -> Result<Self, StartError> {
        let lock = state.lock()?;
        // First, so that a port in use is told before anything else happens.
        let listeners = Listeners::bind(&config.listen, config.plain)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let authority = Arc::new(Authority::load(state)?);
        let audit =
            Audit::open(&state.audit_log(), Arc::clone(&clock)).map_err(StartError::Audit)?;
        let key = sealing_key(state)?;
        let token = api_token(state)?;
        let grants = Grants::open(
            &state.database(),
            key,
            Arc::clone(&authority),
            Arc::clone(&clock),
            Arc::new(audit),
        )
        .await?;
        let catalog = Arc::new(open_sources(config).await?);
        let sessions = Arc::new(Sessions::default());
        let hosts = config.certificate_hosts();
        let (chain, certificate_key) = authority.server_identity(&hosts, clock.now())?;
        let tls = Tls::new(
            chain,
            certificate_key,
            authority.grant_ca().clone(),
            Arc::clone(&grants),
        )?;
        let plane = DataPlane::new(
            Arc::clone(&grants),
            Arc::clone(&catalog),
            Arc::clone(&sessions),
            policy(config),
            Limits::default(),
        );
        let portal = config.portal();
        let router = api::router(AppState {
            grants: Arc::clone(&grants),
            catalog,
            sources: config.source.iter().map(SourceConfig::label).collect(),
            sessions,
            verifies: Arc::default(),
            metrics: Arc::clone(plane.metrics()),
            places: Arc::clone(plane.places()),
            authority,
            token,
            site: config.site.as_str().into(),
            portal: portal.clone(),
        });
        Ok(Self {
            listeners,
            tls,
            plane,
            router,
            grants,
            portal,
            _lock: lock,
        })
    }

    /// The addresses that speak TLS; ports are the real ones where the configuration says 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.tls_addresses()
    }

    /// The address of the listener without TLS.
    pub fn plain_address(&self) -> Option<SocketAddr> {
        self.listeners.plain_address()
    }

    /// What scripts connect to.
    pub fn portal(&self) -> &Portal {
        &self.portal
    }

    /// Serves until `stop` is cancelled; then sessions are told to log out, which takes 5 seconds at most.
    pub async fn run(self, stop: CancellationToken) {
        target::serve(self.listeners, self.tls, self.plane, self.router, stop).await;
        self.grants.close().await;
    }
}

fn sealing_key(state: &StateDir) -> Result<SealingKey, StartError> {
    let path = state.key(DATABASE_KEY);
    let bytes = state.read_private(&path)?;
    let bytes: &[u8; KEY_LEN] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| StartError::Key(path.display().to_string()))?;
    Ok(SealingKey::new(bytes)?)
}

fn api_token(state: &StateDir) -> Result<ApiToken, StartError> {
    let path = state.token();
    let bytes = state.read_private(&path)?;
    let text = str::from_utf8(&bytes)
        .ok()
        .filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| StartError::Token(path.display().to_string()))?;
    Ok(ApiToken::new(text))
}

async fn open_sources(config: &Config) -> Result<Catalog, StartError> {
    let (sources, cache_bytes) = (config.source.clone(), config.cache_bytes);
    let open = move || Catalog::with_cache(&sources, cache_bytes);
    let opened = tokio::task::spawn_blocking(open).await?;
    Ok(opened?)
}

fn policy(config: &Config) -> Policy {
    let mut algorithms = Algorithm::ALL.to_vec();
    if !config.chap.md5 {
        algorithms.retain(|algorithm| *algorithm != Algorithm::Md5);
    }
    Policy {
        algorithms,
        target_address: config.target_address.clone(),
    }
}
