//! Grants: list, show, renew, revoke.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::error::{ApiError, ErrorBody};
use crate::grant::{Caller, GrantId, GrantRecord, GrantState, GrantedDisk, NotAGrantId};

/// A grant.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GrantView {
    /// Its id.
    #[schema(value_type = String)]
    pub grant: GrantId,
    /// Whether it may be used.
    pub state: GrantState,
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id.
    pub point: String,
    /// Where the recovery point lies.
    pub source: String,
    /// Its target's name.
    pub iqn: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who had it made, as they said.
    pub created_by: String,
    /// When its time runs out or ran out.
    pub expires_at: Timestamp,
    /// When it expired or was revoked.
    pub ended_at: Option<Timestamp>,
    /// Bytes of disk contents that its sessions have read. What they read since the start of a server that is killed is forgotten.
    pub bytes_read: u64,
    /// Its logical units.
    pub disks: Vec<GrantedDisk>,
}

fn view(state: &AppState, record: &GrantRecord) -> GrantView {
    GrantView {
        grant: record.id.clone(),
        state: record.state,
        vm: record.vm.clone(),
        point: record.point.clone(),
        source: record.source.clone(),
        iqn: record.id.iqn(),
        created_at: record.created_at,
        created_by: record.created_by.clone(),
        expires_at: record.expires_at,
        ended_at: record.ended_at,
        bytes_read: state.grants.bytes_read(&record.id),
        disks: record.disks.clone(),
    }
}

/// The grants, oldest first; those that ended are remembered for 90 days
#[utoipa::path(
    get, path = "/api/v1/grants", tag = "grants",
    responses((status = 200, body = [GrantView]), (status = 401, body = ErrorBody))
)]
pub(super) async fn list(State(state): State<AppState>) -> Json<Vec<GrantView>> {
    let records = state.grants.list();
    Json(records.iter().map(|record| view(&state, record)).collect())
}

/// One grant
#[utoipa::path(
    get, path = "/api/v1/grants/{id}", tag = "grants", params(("id" = String, Path)),
    responses(
        (status = 200, body = GrantView),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<GrantView>, ApiError> {
    const WHAT: &str = "there is no grant to show";
    let id = parse(&id, WHAT)?;
    let record = state.grants.show(&id);
    let record = record.map_err(|error| ApiError::because(WHAT, error))?;
    Ok(Json(view(&state, &record)))
}

/// Starts another 12 hours
#[utoipa::path(
    post, path = "/api/v1/grants/{id}/renew", tag = "grants", params(("id" = String, Path)),
    responses(
        (status = 200, body = GrantView),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "the grant has ended"),
    )
)]
pub(super) async fn renew(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<GrantView>, ApiError> {
    const WHAT: &str = "the grant was not renewed";
    let id = parse(&id, WHAT)?;
    let record = state.grants.renew(&id, caller).await;
    let record = record.map_err(|error| ApiError::because(WHAT, error))?;
    Ok(Json(view(&state, &record)))
}

/// Ends the grant at once; one that has ended stays as it is
#[utoipa::path(
    post, path = "/api/v1/grants/{id}/revoke", tag = "grants", params(("id" = String, Path)),
    responses(
        (status = 200, body = GrantView),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn revoke(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<GrantView>, ApiError> {
    const WHAT: &str = "the grant was not revoked";
    let id = parse(&id, WHAT)?;
    let record = state.grants.revoke(&id, caller).await;
    let record = record.map_err(|error| ApiError::because(WHAT, error))?;
    Ok(Json(view(&state, &record)))
}

fn parse(id: &str, what: &'static str) -> Result<GrantId, ApiError> {
    id.parse()
        .map_err(|error: NotAGrantId| ApiError::because(what, error))
}
