//! From creation to the end, and after.

use std::sync::Arc;
use std::time::Duration;

use itemlift::grant::{GrantError, GrantState, GrantedDisk, LIFETIME, NewGrant, Refusal};
use rustls_pki_types::CertificateDer;

use crate::bench::{Bench, HOUR, asked, certificate, ended, time};

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
