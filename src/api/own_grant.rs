//! The grant of the client's own certificate: lets a mount script see a renewal.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::error::{ApiError, ErrorBody};
use crate::grant::{GrantId, GrantState};
use crate::target::ClientGrant;

/// State of a grant, for its own client.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OwnGrant {
    /// Its id.
    #[schema(value_type = String)]
    pub grant: GrantId,
    /// Whether it may be used.
    pub state: GrantState,
    /// When its time runs out.
    pub expires_at: Timestamp,
}

/// The grant whose client certificate this connection shows
#[utoipa::path(
    get, path = "/api/v1/grant/self", tag = "grants",
    security(()),
    responses((status = 200, body = OwnGrant), (status = 401, body = ErrorBody, description = "no grant's certificate"))
)]
pub(super) async fn show(
    State(state): State<AppState>,
    client: Option<Extension<ClientGrant>>,
) -> Result<Json<OwnGrant>, ApiError> {
    let Some(Extension(ClientGrant(id))) = client else {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "there is no grant to show",
            "the connection shows no grant's certificate",
            "connect with the mount script's client certificate",
        ));
    };
    let record = state
        .grants
        .show(&id)
        .map_err(|error| ApiError::because("there is no grant to show", error))?;
    Ok(Json(OwnGrant {
        grant: id,
        state: record.state,
        expires_at: record.expires_at,
    }))
}
