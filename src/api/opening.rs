//! The disks of a recovery point, opened for an operator.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use disk_image::Cache;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

use super::AppState;
use super::error::ApiError;
use crate::point::{Catalog, CatalogError, OpenedDisk, RecoveryPoint};

/// How long the disks of one recovery point may take to be opened: 255 of them take less than a second on storage that answers.
const OPENING_TIME: Duration = Duration::from_secs(30);

/// Why disks were not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpened {
    /// The point cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage does not answer.
    #[error(
        "the source {label:?} has not answered for {seconds} s; check that its storage is mounted and that it answers",
        seconds = OPENING_TIME.as_secs()
    )]
    Silent {
        /// The source.
        label: String,
    },
    /// A thread of ours failed.
    #[error("the server failed; look into its log")]
    Failed(#[from] JoinError),
}

impl NotOpened {
    /// The answer to whoever wanted them for `what`.
    pub(super) fn into_api(self, what: &'static str) -> ApiError {
        match self {
            NotOpened::Catalog(error) => ApiError::because(what, error),
            NotOpened::Silent { .. } => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, what, self.to_string(), "")
            }
            NotOpened::Failed(error) => ApiError::internal(what, &error),
        }
    }
}

/// Opens the disks of a recovery point to be served: number *n* is LUN *n*.
pub(super) async fn luns(
    state: &AppState,
    point: &Arc<RecoveryPoint>,
) -> Result<Vec<OpenedDisk>, NotOpened> {
    open(state, point, Catalog::open_luns).await
}

/// Opens each disk of a recovery point by itself, with this cache.
pub(super) async fn each_disk(
    state: &AppState,
    point: &Arc<RecoveryPoint>,
    cache: &Arc<Cache>,
) -> Result<Vec<OpenedDisk>, NotOpened> {
    let cache = Arc::clone(cache);
    open(state, point, move |catalog, point| {
        catalog.open_each(point, &cache)
    })
    .await
}

/// Opens, on a thread that may block and in a place of the point's source.
async fn open<T: Send + 'static>(
    state: &AppState,
    point: &Arc<RecoveryPoint>,
    how: impl FnOnce(&Catalog, &RecoveryPoint) -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, NotOpened> {
    let open = async {
        let place = state.places.opening(&point.source).await;
        let (catalog, point) = (Arc::clone(&state.catalog), Arc::clone(point));
        let opened = spawn_blocking(move || {
            let disks = how(&catalog, &point);
            // Kept until here: the thread is taken for as long as the source hangs, also when nobody waits for it any more.
            drop(place);
            disks
        });
        Ok(opened.await??)
    };
    timeout(OPENING_TIME, open).await.unwrap_or_else(|_| {
        Err(NotOpened::Silent {
            label: point.source.clone(),
        })
    })
}
