//! Recovery points.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::body::Asked;
use super::error::{ApiError, ErrorBody};
use crate::point::{Consistency, Filter, RecoveryPoint};

/// Which recovery points are asked for. What is left out does not restrict.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PointQuery {
    /// Of this VM.
    vm: Option<String>,
    /// Made then or later.
    since: Option<Timestamp>,
    /// Made then or earlier.
    until: Option<Timestamp>,
    /// `application`, `file-system` or `crash`.
    #[param(value_type = Option<String>)]
    consistency: Option<Consistency>,
}

/// A recovery point.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PointView {
    /// The machine that was backed up.
    pub vm: String,
    /// Its id within the VM.
    pub point: String,
    /// When it was made, UTC.
    pub time: Timestamp,
    /// `application`, `file-system` or `crash`.
    #[schema(value_type = String)]
    pub consistency: Consistency,
    /// The guest's system, if known.
    pub os: Option<String>,
    /// The disks' names, in LUN order.
    pub disks: Vec<String>,
    /// Where it lies.
    pub source: String,
    /// What is wrong with it; empty if nothing is.
    pub problems: Vec<String>,
}

impl From<&RecoveryPoint> for PointView {
    fn from(point: &RecoveryPoint) -> Self {
        Self {
            vm: point.vm.clone(),
            point: point.id.clone(),
            time: point.time,
            consistency: point.consistency,
            os: point.os.clone(),
            disks: point.disks.iter().map(|disk| disk.name.clone()).collect(),
            source: point.source.clone(),
            problems: point.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The recovery points, newest first for each VM
#[utoipa::path(
    get, path = "/api/v1/points", tag = "points", params(PointQuery),
    responses(
        (status = 200, body = [PointView]),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Asked(query): Asked<PointQuery>,
) -> Result<Json<Vec<PointView>>, ApiError> {
    let filter = Filter {
        vm: query.vm,
        since: query.since,
        until: query.until,
        consistency: query.consistency,
    };
    // The catalog reads folders.
    let points = tokio::task::spawn_blocking(move || state.catalog.list(&filter))
        .await
        .map_err(|error| ApiError::internal("cannot list the recovery points", &error))?;
    Ok(Json(
        points
            .iter()
            .map(|point| PointView::from(&**point))
            .collect(),
    ))
}
