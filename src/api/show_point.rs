//! One recovery point, with what its disks are: these are opened, so that it can be told before a grant is made.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use disk_image::Cache;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::body::Asked;
use super::error::{ApiError, ErrorBody};
use super::opening;
use super::sources::LeftOut;
use crate::point::{Consistency, OpenedDisk, PointRef};

const WHAT: &str = "there is no recovery point to show";

/// Index tables in memory while the disks are opened, in bytes. Nothing is read of them twice.
const CACHE_BYTES: usize = 1024 * 1024;

/// Which recovery point.
#[derive(Debug, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PointAsked {
    /// The machine that was backed up.
    vm: String,
    /// A recovery point's id, or `latest`.
    point: String,
}

/// A recovery point whose disks were opened.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OpenedPoint {
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
    /// Where it lies.
    pub source: String,
    /// Its disks, in LUN order.
    pub disks: Vec<DiskView>,
    /// What is wrong with it besides; empty if nothing is.
    pub problems: Vec<String>,
    /// Files beside the disks that are not used, and why.
    pub left_out: Vec<LeftOut>,
}

/// A disk of a recovery point.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskView {
    /// Its name.
    pub name: String,
    /// The format of its own image: `raw`, `qcow2`, `vhd`, `vhdx` or `vmdk`; null if it cannot be opened.
    pub format: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// Bytes in a logical sector.
    pub sector_size: Option<u32>,
    /// Why it cannot be opened, and what to do; null if it can.
    pub problem: Option<String>,
}

impl From<&OpenedDisk> for DiskView {
    fn from(opened: &OpenedDisk) -> Self {
        let info = opened.disk.as_ref().ok().map(|disk| disk.info());
        Self {
            name: opened.name.clone(),
            format: info.map(|info| info.format.to_string()),
            size: info.map(|info| info.size),
            sector_size: info.map(|info| info.sector_size),
            problem: opened.disk.as_ref().err().map(ToString::to_string),
        }
    }
}

/// One recovery point, after opening its disks
#[utoipa::path(
    get, path = "/api/v1/points/show", tag = "points", params(PointAsked),
    responses(
        (status = 200, body = OpenedPoint),
        (status = 400, body = ErrorBody, description = "the request is not one"),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "no such VM or recovery point"),
        (status = 409, body = ErrorBody, description = "nothing of the recovery point can be used"),
        (status = 503, body = ErrorBody, description = "the source does not answer"),
    )
)]
pub(super) async fn show(
    State(state): State<AppState>,
    Asked(asked): Asked<PointAsked>,
) -> Result<Json<OpenedPoint>, ApiError> {
    let catalog = Arc::clone(&state.catalog);
    let find = move || catalog.find(&asked.vm, &PointRef::from(asked.point.as_str()));
    let point = tokio::task::spawn_blocking(find)
        .await
        .map_err(|error| ApiError::internal(WHAT, &error))?
        .map_err(|error| ApiError::because(WHAT, error))?;
    let cache = Arc::new(Cache::new(CACHE_BYTES));
    let opened = opening::each_disk(&state, &point, &cache)
        .await
        .map_err(|error| error.into_api(WHAT))?;
    Ok(Json(OpenedPoint {
        vm: point.vm.clone(),
        point: point.id.clone(),
        time: point.time,
        consistency: point.consistency,
        os: point.os.clone(),
        source: point.source.clone(),
        disks: opened.iter().map(DiskView::from).collect(),
        problems: point.problems.iter().map(ToString::to_string).collect(),
        left_out: point.ignored.iter().map(LeftOut::from).collect(),
    }))
}
