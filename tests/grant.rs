//! The life of grants, on a clock that the test moves.
#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use itemlift::grant::audit::Audit;
use itemlift::grant::authority::Authority;
use itemlift::grant::clock::{Clock, ManualClock};
use itemlift::grant::seal::SealingKey;
use itemlift::grant::{
    Created, GrantError, GrantState, GrantedDisk, Grants, LIFETIME, NewGrant, Refusal, StoreError,
};
use itemlift::init::initialise;
use itemlift::state_dir::StateDir;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);
const KEY: [u8; 32] = [7; 32];

/// A state directory and a clock that outlive servers.
struct Bench {
    _dir: TempDir,
    state: StateDir,
    authority: Arc<Authority>,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = initialise(&dir.path().join("state"), &[], "local").unwrap();
        Self {
            authority: Arc::new(Authority::load(&state).unwrap()),
            clock: Arc::new(ManualClock::new("2026-11-20T02:00:00Z".parse().unwrap())),
            _dir: dir,
            state,
        }
    }

    async fn open(&self) -> Arc<Grants> {
        self.open_with(&KEY).await.unwrap()
    }

    async fn open_with(&self, key: &[u8; 32]) -> Result<Arc<Grants>, StoreError> {
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

    fn database(&self) -> std::path::PathBuf {
        self.state.database()
    }

    async fn execute(&self, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.database());
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let done = sqlx::query(sql).execute(&pool).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        pool.close().await;
    }

    fn audit(&self, grants: &Grants) -> Vec<serde_json::Value> {
        grants.audit().flush();
        std::fs::read_to_string(self.state.audit_log())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn asked() -> NewGrant {
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

fn certificate(created: &Created) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(created.identity.certificate_pem.as_bytes()).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Waits until the timer has ended the grant; on a clock that stands still that is a matter of scheduling.
async fn ended(grants: &Grants, created: &Created) -> GrantState {
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

#[tokio::test]
async fn a_grant_is_found_by_its_certificate_and_its_user() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let (a, b) = (
        grants.create(asked()).await.unwrap(),
        grants.create(asked()).await.unwrap(),
    );
    for created in [&a, &b] {
        let live = grants.by_certificate(&certificate(created)).unwrap();
        assert_eq!(live.id, created.record.id);
        assert_eq!(live.iqn, format!("iqn.2026-11.io.itemlift:{}", live.id));
        assert_eq!(live.disks, created.record.disks);
        assert_eq!(live.initiator.user, created.chap.initiator_user);
        assert_ne!(created.chap.initiator_secret, created.chap.target_secret);
        let by_user = grants.by_user(&created.chap.initiator_user).unwrap();
        assert!(Arc::ptr_eq(&live, &by_user));
    }
    assert_ne!(a.record.id, b.record.id);
    let stranger = CertificateDer::from(b"no certificate".to_vec());
    assert_eq!(
        grants.by_certificate(&stranger).unwrap_err(),
        Refusal::Unknown
    );
    for user in [
        "",
        "root",
        "itemlift-",
        "itemlift-000000000000",
        &a.chap.target_user,
    ] {
        assert_eq!(
            grants.by_user(user).unwrap_err(),
            Refusal::Unknown,
            "{user}"
        );
    }
}

#[tokio::test]
async fn it_expires_after_twelve_hours_to_the_second() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let created = grants.create(asked()).await.unwrap();
    let live = grants.by_certificate(&certificate(&created)).unwrap();
    let mut watch = live.watch();
    assert_eq!(created.record.expires_at, time("2026-11-20T14:00:00Z"));

    bench.clock.advance(12 * HOUR - Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(grants.by_certificate(&certificate(&created)).is_ok());
    assert!(!watch.has_changed().unwrap());

    bench.clock.advance(Duration::from_secs(1));
    // At once by the clock, whether or not the timer has run.
    assert_eq!(
        grants.by_certificate(&certificate(&created)).unwrap_err(),
        Refusal::Expired
    );
    assert_eq!(
        grants.by_user(&live.initiator.user).unwrap_err(),
        Refusal::Expired
    );
    tokio::time::timeout(5 * Duration::from_secs(1), watch.changed())
        .await
        .expect("the timer ends it without being asked")
        .unwrap();
    assert_eq!(live.standing().state, GrantState::Expired);
    assert_eq!(ended(&grants, &created).await, GrantState::Expired);
    let last = bench.audit(&grants).pop().unwrap();
    assert_eq!(last["event"], "expired");
    assert_eq!(last["time"], "2026-11-20T14:00:00Z");
    assert_eq!(last["vm"], "web01");
}

#[tokio::test]
async fn a_lifetime_can_be_shorter_not_longer() {
    let bench = Bench::new();
    let grants = bench.open().await;
    for lifetime in [Duration::ZERO, LIFETIME + Duration::from_secs(1)] {
        let new = NewGrant {
            lifetime,
            ..asked()
        };
        assert!(matches!(
            grants.create(new).await,
            Err(GrantError::Lifetime)
        ));
    }
    let lifetime = Duration::from_secs(90);
    let created = grants
        .create(NewGrant {
            lifetime,
            ..asked()
        })
        .await
        .unwrap();
    assert_eq!(created.record.expires_at, time("2026-11-20T02:01:30Z"));
    bench.clock.advance(lifetime);
    assert_eq!(ended(&grants, &created).await, GrantState::Expired);
}

#[tokio::test]
async fn a_shorter_grant_does_not_wait_for_a_longer_one() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let long = grants.create(asked()).await.unwrap();
    // Long enough for the timer to have gone to sleep for twelve hours.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let lifetime = HOUR;
    let short = grants
        .create(NewGrant {
            lifetime,
            ..asked()
        })
        .await
        .unwrap();
    bench.clock.advance(lifetime);
    assert_eq!(ended(&grants, &short).await, GrantState::Expired);
    assert!(grants.by_certificate(&certificate(&long)).is_ok());
}

#[tokio::test]
async fn a_renewal_starts_twelve_hours_from_then_and_only_while_active() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let created = grants.create(asked()).await.unwrap();
    let id = &created.record.id;
    let live = grants.by_certificate(&certificate(&created)).unwrap();
    bench.clock.advance(11 * HOUR);
    let renewed = grants.renew(id, "bob").await.unwrap();
    assert_eq!(renewed.expires_at, time("2026-11-21T01:00:00Z"));
    assert_eq!(
        live.standing().expires_at,
        renewed.expires_at,
        "sessions see it"
    );

    bench.clock.advance(11 * HOUR);
    assert!(
        grants.by_certificate(&certificate(&created)).is_ok(),
        "the script stays valid"
    );
    bench.clock.advance(HOUR);
    let refused = grants.renew(id, "bob").await;
    let Err(GrantError::NotActive { state, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(state, GrantState::Expired);
}

#[tokio::test]
async fn a_revoke_is_seen_at_once_and_stays() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let created = grants.create(asked()).await.unwrap();
    let live = grants.by_certificate(&certificate(&created)).unwrap();
    let mut watch = live.watch();
    live.count_read(4096);
    let revoked = grants.revoke(&created.record.id, "bob").await.unwrap();
    assert_eq!(revoked.state, GrantState::Revoked);
    assert!(watch.has_changed().unwrap());
    assert_eq!(watch.borrow_and_update().state, GrantState::Revoked);
    assert_eq!(
        grants.by_certificate(&certificate(&created)).unwrap_err(),
        Refusal::Revoked
    );
    // Time does not turn it into something else, nor does a second revoke.
    bench.clock.advance(13 * HOUR);
    let again = grants.revoke(&created.record.id, "bob").await.unwrap();
    assert_eq!(again, revoked);
    assert_eq!(
        grants.by_certificate(&certificate(&created)).unwrap_err(),
        Refusal::Revoked
    );
    assert!(matches!(
        grants.renew(&created.record.id, "bob").await,
        Err(GrantError::NotActive {
            state: GrantState::Revoked,
            ..
        })
    ));
    let lines = bench.audit(&grants);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["event"], "created");
    assert_eq!(lines[0]["who"], "alice");
    assert_eq!(lines[1]["event"], "revoked");
    assert_eq!(lines[1]["who"], "bob");
    assert_eq!(lines[1]["bytes_read"], 4096);
    assert_eq!(
        grants.bytes_read(&created.record.id),
        4096,
        "known after the end, too"
    );
}

#[tokio::test]
async fn grants_survive_a_restart() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let kept = grants.create(asked()).await.unwrap();
    let revoked = grants.create(asked()).await.unwrap();
    let lapsed = NewGrant {
        lifetime: HOUR,
        ..asked()
    };
    let lapsed = grants.create(lapsed).await.unwrap();
    grants.revoke(&revoked.record.id, "bob").await.unwrap();
    bench.clock.advance(HOUR / 2);
    grants.renew(&kept.record.id, "bob").await.unwrap();
    grants.close().await;
    drop(grants);

    bench.clock.advance(HOUR);
    let grants = bench.open().await;
    let live = grants.by_certificate(&certificate(&kept)).unwrap();
    assert_eq!(live.standing().expires_at, time("2026-11-20T14:30:00Z"));
    assert_eq!(live.initiator.user, kept.chap.initiator_user);
    assert_eq!(live.disks, kept.record.disks);
    assert_eq!(
        grants.by_certificate(&certificate(&revoked)).unwrap_err(),
        Refusal::Revoked
    );
    assert_eq!(
        grants.by_certificate(&certificate(&lapsed)).unwrap_err(),
        Refusal::Expired
    );
    assert_eq!(grants.list().len(), 3);
    // The timer runs for what was taken up, too.
    bench.clock.advance(12 * HOUR);
    assert_eq!(ended(&grants, &kept).await, GrantState::Expired);
}

#[tokio::test]
async fn no_secret_lies_in_the_clear_and_none_outlives_its_grant() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let created = grants.create(asked()).await.unwrap();
    let id = created.record.id.clone();
    let is_anywhere = |needle: &str| {
        let files = std::fs::read_dir(bench.state.path()).unwrap();
        files
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file())
            .any(|path| {
                let bytes = std::fs::read(path).unwrap();
                bytes
                    .windows(needle.len())
                    .any(|part| part == needle.as_bytes())
            })
    };
    assert!(is_anywhere(id.as_str()), "the search finds what is there");
    assert!(!is_anywhere(&created.chap.initiator_secret));
    assert!(!is_anywhere(&created.chap.target_secret));
    let key_line = created.identity.key_pem.lines().nth(1).unwrap();
    assert!(!is_anywhere(key_line));

    grants.revoke(&id, "bob").await.unwrap();
    grants.close().await;
    let options = SqliteConnectOptions::new().filename(bench.database());
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM grants WHERE secrets IS NOT NULL")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(kept, 0);
    pool.close().await;
}

#[tokio::test]
async fn another_key_is_refused_before_anything_changes() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let created = grants.create(asked()).await.unwrap();
    grants.close().await;
    drop(grants);
    let opened = bench.open_with(&[8; 32]).await;
    assert!(matches!(opened, Err(StoreError::WrongKey)));
    let grants = bench.open().await;
    assert!(
        grants.by_certificate(&certificate(&created)).is_ok(),
        "nothing was lost"
    );
}

/// Each of these would let a grant read something else, or for longer.
#[tokio::test]
async fn a_tampered_grant_is_not_served_and_the_others_are() {
    for tampering in [
        "UPDATE grants SET expires_at = expires_at + 1000000 WHERE vm = 'web02'",
        "UPDATE grants SET point = '2026-11-19T02-00-00Z' WHERE vm = 'web02'",
        "UPDATE grants SET vm = 'mail' WHERE vm = 'web02'",
        "UPDATE grants SET source = '/etc' WHERE vm = 'web02'",
        "UPDATE grants SET disks = replace(disks, 'root', 'data') WHERE vm = 'web02'",
        "UPDATE grants SET fingerprint = zeroblob(32) WHERE vm = 'web02'",
        "UPDATE grants SET secrets = zeroblob(length(secrets)) WHERE vm = 'web02'",
        "UPDATE grants SET secrets = (SELECT secrets FROM grants WHERE vm = 'web01') WHERE vm = 'web02'",
    ] {
        let bench = Bench::new();
        let grants = bench.open().await;
        let sound = grants.create(asked()).await.unwrap();
        let new = NewGrant {
            vm: "web02".into(),
            ..asked()
        };
        let tampered = grants.create(new).await.unwrap();
        grants.close().await;
        drop(grants);
        bench.execute(tampering).await;
        let grants = bench.open().await;
        assert!(
            grants.by_certificate(&certificate(&sound)).is_ok(),
            "{tampering}"
        );
        assert!(
            grants.by_certificate(&certificate(&tampered)).is_err(),
            "{tampering}"
        );
        assert!(
            grants.by_user(&tampered.chap.initiator_user).is_err(),
            "{tampering}"
        );
        let last = bench.audit(&grants).pop().unwrap();
        assert_eq!(last["event"], "revoked", "{tampering}");
        assert!(last["reason"].is_string(), "{tampering}");
    }
}

#[tokio::test]
async fn a_revoked_grant_is_not_brought_back_by_its_state() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let created = grants.create(asked()).await.unwrap();
    grants.revoke(&created.record.id, "bob").await.unwrap();
    grants.close().await;
    drop(grants);
    let options = SqliteConnectOptions::new().filename(bench.database());
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let flipped = sqlx::query("UPDATE grants SET state = 'active', ended_at = NULL");
    assert!(
        flipped.execute(&pool).await.is_err(),
        "an active grant has secrets"
    );
    pool.close().await;
    let grants = bench.open().await;
    assert_eq!(
        grants.by_certificate(&certificate(&created)).unwrap_err(),
        Refusal::Revoked
    );
}

#[tokio::test]
async fn what_is_no_state_database_is_refused_and_left_alone() {
    let bench = Bench::new();
    std::fs::write(bench.database(), "not a database, but mine").unwrap();
    assert!(bench.open_with(&KEY).await.is_err());
    let left = std::fs::read_to_string(bench.database()).unwrap();
    assert_eq!(left, "not a database, but mine");
}

#[tokio::test]
async fn ended_grants_are_forgotten_after_ninety_days() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let created = grants.create(asked()).await.unwrap();
    grants.revoke(&created.record.id, "bob").await.unwrap();
    bench.clock.advance(89 * 24 * HOUR);
    let other = grants.create(asked()).await.unwrap();
    grants.renew(&other.record.id, "bob").await.unwrap();
    assert_eq!(grants.list().len(), 2);
    bench.clock.advance(24 * HOUR + Duration::from_secs(1));
    ended(&grants, &other).await;
    let mut tries = 0;
    while grants.show(&created.record.id).is_ok() && tries < 1000 {
        tries += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(
        grants.show(&created.record.id),
        Err(GrantError::Unknown(_))
    ));
    assert_eq!(
        grants.by_certificate(&certificate(&created)).unwrap_err(),
        Refusal::Unknown
    );
}

#[tokio::test]
async fn disks_are_bounded() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let disk = asked().disks.remove(0);
    let with = |count: u16| NewGrant {
        disks: (0..count)
            .map(|lun| GrantedDisk {
                lun,
                ..disk.clone()
            })
            .collect(),
        ..asked()
    };
    assert!(matches!(
        grants.create(with(0)).await,
        Err(GrantError::Disks(0))
    ));
    assert!(matches!(
        grants.create(with(256)).await,
        Err(GrantError::Disks(256))
    ));
    assert!(grants.create(with(255)).await.is_ok());
}

#[tokio::test]
async fn names_with_anything_in_them_come_back_as_they_were() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let vm = "we ird'); DROP TABLE grants;--\n$(id) ü\u{202e}".to_owned();
    let created = grants
        .create(NewGrant {
            vm: vm.clone(),
            ..asked()
        })
        .await
        .unwrap();
    grants.close().await;
    drop(grants);
    let grants = bench.open().await;
    assert_eq!(
        grants.by_certificate(&certificate(&created)).unwrap().vm,
        vm
    );
}

#[tokio::test]
async fn files_with_secrets_are_private() {
    use std::os::unix::fs::MetadataExt as _;
    let bench = Bench::new();
    let grants = bench.open().await;
    grants.create(asked()).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&bench.database()), 0o600);
    assert_eq!(mode(&bench.state.path().join("state.db-wal")), 0o600);
    assert_eq!(mode(&bench.state.audit_log()), 0o600);
}
