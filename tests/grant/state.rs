//! What the state database keeps, from whom, and what it refuses.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use itemlift::grant::{Created, GrantState, Grants, NewGrant, Refusal, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::bench::{Bench, HOUR, KEY, asked, certificate, ended, time};

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
async fn what_was_read_is_known_after_a_restart() {
    let bench = Bench::new();
    let grants = bench.open().await;
    let kept = grants.create(asked()).await.unwrap();
    let revoked = grants.create(asked()).await.unwrap();
    let read = |grants: &Grants, created: &Created, bytes| {
        let live = grants.by_certificate(&certificate(created)).unwrap();
        live.count_read(bytes);
    };
    read(&grants, &kept, 1000);
    read(&grants, &revoked, 3 << 40);
    grants.revoke(&revoked.record.id, "bob").await.unwrap();
    grants.close().await;
    drop(grants);

    let grants = bench.open().await;
    assert_eq!(grants.bytes_read(&revoked.record.id), 3 << 40);
    read(&grants, &kept, 234);
    assert_eq!(grants.bytes_read(&kept.record.id), 1234);
    grants.close().await;
    drop(grants);
    let grants = bench.open().await;
    assert_eq!(grants.bytes_read(&kept.record.id), 1234);
    bench.clock.advance(13 * HOUR);
    assert_eq!(ended(&grants, &kept).await, GrantState::Expired);
    assert_eq!(grants.bytes_read(&kept.record.id), 1234);
    grants.close().await;
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
    let bench = Bench::new();
    let grants = bench.open().await;
    grants.create(asked()).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&bench.database()), 0o600);
    assert_eq!(mode(&bench.state.path().join("state.db-wal")), 0o600);
    assert_eq!(mode(&bench.state.audit_log()), 0o600);
}
