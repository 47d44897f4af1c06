//! Whether the server is there.

use axum::Json;
use serde::{Deserialize, Serialize};

/// The server answers.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}

/// Is the server there?
#[utoipa::path(
    get, path = "/api/v1/health", tag = "server",
    security(()),
    responses((status = 200, body = Health))
)]
pub(super) async fn show() -> Json<Health> {
    Json(Health {
        status: "ok".into(),
    })
}
