//! What the server counts, for Prometheus.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::AppState;
use super::error::{ApiError, ErrorBody};
use crate::grant::GrantState;
use crate::metrics::{CONTENT_TYPE, Snapshot};

/// Counters and gauges, in the OpenMetrics text format
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 401, body = ErrorBody),
    )
)]
pub(super) async fn show(State(state): State<AppState>) -> Result<impl IntoResponse, ApiError> {
    let grants = state.grants.list();
    let of_state = |wanted: GrantState| {
        let number = grants.iter().filter(|grant| grant.state == wanted).count();
        (wanted.as_str(), number as u64)
    };
    let grants = [GrantState::Active, GrantState::Expired, GrantState::Revoked];
    let snapshot = Snapshot {
        metrics: state.metrics.clone(),
        cache: state.catalog.cache_counts(),
        sessions: state.sessions.numbers().to_vec(),
        grants: grants.map(of_state).to_vec(),
        audit_lost: state.grants.audit().lost(),
        sources: sources(&state),
    };
    let text = snapshot
        .text()
        .map_err(|error| ApiError::internal("cannot tell the metrics", &error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

/// What the latest scans found. Does not look again: that may take as long as the storage does.
fn sources(state: &AppState) -> Vec<(String, [u64; 3])> {
    let (points, problems) = state.catalog.latest();
    let configured = state.sources.iter().map(|source| (source.clone(), [0; 3]));
    let mut sources: BTreeMap<String, [u64; 3]> = configured.collect();
    for point in points.iter() {
        if let Some([all, with_problems, _]) = sources.get_mut(&point.source) {
            *all += 1;
            *with_problems += u64::from(!point.problems.is_empty());
        }
    }
    for found in problems {
        if let Some([_, _, besides]) = sources.get_mut(&found.source) {
            *besides += 1;
        }
    }
    sources.into_iter().collect()
}
