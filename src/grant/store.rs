//! The state database.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};

use super::live::{GrantId, GrantState};
use super::record::{Fingerprint, GrantRecord};
use super::seal::{SealError, SealingKey};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/grant/migrations");

/// The value in `key_check`; its row in the sense of [`SealingKey::seal`].
const KEY_CHECK: &[u8] = b"itemlift key check 1";

/// Why the state database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be made.
    #[error("cannot create the state database: {0}")]
    Create(#[source] std::io::Error),
    /// The schema is not one that this version knows.
    #[error("the state database has another version's layout: {0}")]
    Migrate(#[from] MigrateError),
    /// SQLite failed.
    #[error("the state database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The key file belongs to another database.
    #[error("the key file does not belong to this state database")]
    WrongKey,
    /// A row that no version of itemlift writes.
    #[error("the state database is damaged: grant {id}: {what}")]
    Damaged {
        /// The row's id.
        id: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Sealing failed.
    #[error(transparent)]
    Seal(SealError),
}

/// A grant and its sealed secrets; `None` once it ended.
pub(super) struct StoredGrant {
    pub(super) record: GrantRecord,
    pub(super) secrets: Option<Vec<u8>>,
    /// What its sessions had read when it ended, or when the server last stopped.
    pub(super) bytes_read: u64,
}

/// `state.db`.
pub(super) struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens or makes the database, brings its layout up to date and holds it against the key.
    pub(super) async fn open(path: &Path, key: &SealingKey) -> Result<Self, StoreError> {
        // SQLite would create it with the umask's mode; its -wal and -shm files take over this one's.
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(StoreError::Create)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A revoke that was answered must be there after a power cut.
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON");
        // One writer at a time is all that SQLite has; reads happen at start only.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        MIGRATIONS.run(&pool).await?;
        let store = Self { pool };
        store.check_key(key).await?;
        Ok(store)
    }

    async fn check_key(&self, key: &SealingKey) -> Result<(), StoreError> {
        let found = sqlx::query("SELECT sealed FROM key_check WHERE only_row = 1")
            .fetch_optional(&self.pool)
            .await?;
        if let Some(row) = found {
            let sealed: Vec<u8> = row.try_get(0)?;
            return match key.open(KEY_CHECK, &sealed) {
                Ok(value) if value.as_slice() == KEY_CHECK => Ok(()),
                _ => Err(StoreError::WrongKey),
            };
        }
        let sealed = key.seal(KEY_CHECK, KEY_CHECK).map_err(StoreError::Seal)?;
        sqlx::query("INSERT INTO key_check (only_row, sealed) VALUES (1, ?)")
            .bind(sealed)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Adds a grant.
    pub(super) async fn insert(
        &self,
        record: &GrantRecord,
        secrets: &[u8],
    ) -> Result<(), StoreError> {
        let disks = serde_json::to_string(&record.disks).map_err(|_| StoreError::Damaged {
            id: record.id.to_string(),
            what: "disks cannot be written as JSON",
        })?;
        sqlx::query(
            "INSERT INTO grants (id, vm, point, source, disks, fingerprint, created_at, \
             created_by, expires_at, state, ended_at, secrets) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'active', NULL, ?)",
        )
        .bind(record.id.as_str())
        .bind(&record.vm)
        .bind(&record.point)
        .bind(&record.source)
        .bind(disks)
        .bind(record.fingerprint.0.as_slice())
        .bind(record.created_at.as_millisecond())
        .bind(&record.created_by)
        .bind(record.expires_at.as_millisecond())
        .bind(secrets)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Writes a renewed grant's end; its secrets are sealed to the row and come anew with it.
    pub(super) async fn renew(
        &self,
        id: &GrantId,
        expires_at: Timestamp,
        secrets: &[u8],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE grants SET expires_at = ?, secrets = ? WHERE id = ? AND state = 'active'",
        )
        .bind(expires_at.as_millisecond())
        .bind(secrets)
        .bind(id.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Writes what active grants' sessions have read: all of it in one write to the disk.
    pub(super) async fn count(&self, counts: &[(GrantId, u64)]) -> Result<(), StoreError> {
        let mut all = self.pool.begin().await?;
        for (id, bytes_read) in counts {
            sqlx::query("UPDATE grants SET bytes_read = ? WHERE id = ? AND state = 'active'")
                .bind(i64::try_from(*bytes_read).unwrap_or(i64::MAX))
                .bind(id.as_str())
                .execute(&mut *all)
                .await?;
        }
        all.commit().await?;
        Ok(())
    }

    /// Ends a grant and deletes its secrets.
    pub(super) async fn end(
        &self,
        id: &GrantId,
        state: GrantState,
        at: Timestamp,
        bytes_read: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE grants SET state = ?, ended_at = ?, secrets = NULL, bytes_read = ? \
             WHERE id = ? AND state = 'active'",
        )
        .bind(state.as_str())
        .bind(at.as_millisecond())
        .bind(i64::try_from(bytes_read).unwrap_or(i64::MAX))
        .bind(id.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets the grants that ended before `before`.
    pub(super) async fn forget(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM grants WHERE ended_at < ?")
            .bind(before.as_millisecond())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// All grants.
    pub(super) async fn all(&self) -> Result<Vec<StoredGrant>, StoreError> {
        sqlx::query("SELECT * FROM grants ORDER BY created_at, id")
            .fetch_all(&self.pool)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// Writes back what the log holds and closes the file.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

fn read(row: &SqliteRow) -> Result<StoredGrant, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |what| StoreError::Damaged {
        id: id.clone(),
        what,
    };
    let time = |column| -> Result<Option<Timestamp>, StoreError> {
        row.try_get::<Option<i64>, _>(column)?
            .map(Timestamp::from_millisecond)
            .transpose()
            .map_err(|_| damaged("a time out of range"))
    };
    let fingerprint: Vec<u8> = row.try_get("fingerprint")?;
    let disks: String = row.try_get("disks")?;
    let record = GrantRecord {
        id: id.parse().map_err(|_| damaged("not a grant id"))?,
        vm: row.try_get("vm")?,
        point: row.try_get("point")?,
        source: row.try_get("source")?,
        disks: serde_json::from_str(&disks).map_err(|_| damaged("disks are not readable"))?,
        fingerprint: Fingerprint(
            fingerprint
                .try_into()
                .map_err(|_| damaged("fingerprint is not 32 bytes"))?,
        ),
        created_at: time("created_at")?.ok_or_else(|| damaged("no creation time"))?,
        created_by: row.try_get("created_by")?,
        expires_at: time("expires_at")?.ok_or_else(|| damaged("no end"))?,
        state: match row.try_get::<String, _>("state")?.as_str() {
            "active" => GrantState::Active,
            "expired" => GrantState::Expired,
            "revoked" => GrantState::Revoked,
            _ => return Err(damaged("unknown state")),
        },
        ended_at: time("ended_at")?,
    };
    Ok(StoredGrant {
        record,
        secrets: row.try_get("secrets")?,
        bytes_read: u64::try_from(row.try_get::<i64, _>("bytes_read")?)
            .map_err(|_| damaged("fewer than no bytes read"))?,
    })
}
