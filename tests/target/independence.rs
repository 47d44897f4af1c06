//! The read path does not wait for the control plane.

use std::time::Duration;

use iscsi_proto::scsi::Lun;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::support::{Place, content, log_in, within};

#[tokio::test]
async fn reads_go_on_while_the_state_database_is_locked() {
    let place = Place::new();
    let server = place.serve().await;
    let bundle = server.grant().await;
    let path = place.dir.path().join("state/state.db");
    let database = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path));
    let mut lock = database.await.unwrap().acquire().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let grants = server.grants.clone();
    let id = bundle.grant.clone();
    let renewal = tokio::spawn(async move { grants.renew(&id, "test").await });
    tokio::time::sleep(Duration::from_millis(200)).await;

    within(2, async {
        let stream = server.connect(&bundle).await;
        let mut session = log_in(stream, &bundle).await.unwrap();
        let read = session.read(Lun::peripheral(0), 0, 8, 4096).await.unwrap();
        assert_eq!(read, content(4096));
        session.log_out().await.unwrap();
    })
    .await;

    assert!(!renewal.is_finished(), "what writes to the database waits");
    sqlx::query("ROLLBACK").execute(&mut *lock).await.unwrap();
    renewal.await.unwrap().unwrap();
}
