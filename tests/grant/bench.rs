//! A state directory, an authority and a clock, which outlive the grants opened on them.

use std::sync::Arc;
use std::time::Duration;

use itemlift::grant::audit::Audit;
use itemlift::grant::authority::Authority;
use itemlift::grant::clock::{Clock, ManualClock};
use itemlift::grant::seal::SealingKey;
use itemlift::grant::{Created, GrantState, GrantedDisk, Grants, LIFETIME, NewGrant, StoreError};
use itemlift::init::initialise;
use itemlift::state_dir::StateDir;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const KEY: [u8; 32] = [7; 32];

/// A state directory and a clock that outlive servers.
pub(crate) struct Bench {
    _dir: TempDir,
    pub(crate) state: StateDir,
    pub(crate) authority: Arc<Authority>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = initialise(&dir.path().join("state"), &[], "local").unwrap();
        Self {
            authority: Arc::new(Authority::load(&state).unwrap()),
            clock: Arc::new(ManualClock::new("2026-11-20T02:00:00Z".parse().unwrap())),
            _dir: dir,
            state,
        }
    }

    pub(crate) async fn open(&self) -> Arc<Grants> {
        self.open_with(&KEY).await.unwrap()
    }

    pub(crate) async fn open_with(&self, key: &[u8; 32]) -> Result<Arc<Grants>, StoreError> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let audit = Audit::open(&self.state.audit_log(), Arc::clone(&clock)).unwrap();
        Grants::open(
            &self.state.database(),
            SealingKey::new(key).unwrap(),
            Arc::clone(&self.authority),
            clock,
            Arc::new(audit),
        )
        .await
    }

    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.state.database()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.database());
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let done = sqlx::query(sql).execute(&pool).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        pool.close().await;
    }

    pub(crate) fn audit(&self, grants: &Grants) -> Vec<serde_json::Value> {
        grants.audit().flush();
        std::fs::read_to_string(self.state.audit_log())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) fn asked() -> NewGrant {
    NewGrant {
        vm: "web01".into(),
        point: "2026-11-20T02-00-00Z".into(),
        source: "/srv/backups".into(),
        disks: vec![GrantedDisk {
            lun: 0,
            name: "root".into(),
            size: 1 << 30,
            sector_size: 512,
        }],
        lifetime: LIFETIME,
        by: "alice".into(),
    }
}

pub(crate) fn certificate(created: &Created) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(created.identity.certificate_pem.as_bytes()).unwrap()
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Waits until the timer has ended the grant; on a clock that stands still that is a matter of scheduling.
pub(crate) async fn ended(grants: &Grants, created: &Created) -> GrantState {
    let mut tries = 0;
    loop {
        let state = grants.show(&created.record.id).unwrap().state;
        if state != GrantState::Active || tries == 1000 {
            return state;
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
