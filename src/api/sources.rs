//! Sources, and what is wrong with what lies in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::AppState;
use super::error::{ApiError, ErrorBody};
use super::opening::{self, NotOpened};
use crate::point::{Filter, RecoveryPoint};

const NOT_CHECKED: &str = "cannot check the sources";

/// A source.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SourceView {
    /// Its name: the folder, of an `images` source.
    pub source: String,
    /// VMs in it.
    pub vms: usize,
    /// Recovery points in it.
    pub points: usize,
    /// What is wrong with it or with points in it; empty if nothing is.
    pub problems: Vec<String>,
}

/// The sources
#[utoipa::path(
    get, path = "/api/v1/sources", tag = "sources",
    responses((status = 200, body = [SourceView]), (status = 401, body = ErrorBody))
)]
pub(super) async fn list(State(state): State<AppState>) -> Result<Json<Vec<SourceView>>, ApiError> {
    Ok(Json(survey(state, Vec::new()).await?))
}

/// The sources, after looking at all of them now and opening every disk image
#[utoipa::path(
    post, path = "/api/v1/sources/check", tag = "sources",
    responses((status = 200, body = [SourceView]), (status = 401, body = ErrorBody))
)]
pub(super) async fn check(
    State(state): State<AppState>,
) -> Result<Json<Vec<SourceView>>, ApiError> {
    let catalog = state.catalog.clone();
    let look = move || {
        catalog.rescan();
        catalog.list(&Filter::default())
    };
    let points = tokio::task::spawn_blocking(look)
        .await
        .map_err(|error| ApiError::internal(NOT_CHECKED, &error))?;
    let mut by_source: BTreeMap<String, Vec<Arc<RecoveryPoint>>> = BTreeMap::new();
    for point in points {
        let of_source = by_source.entry(point.source.clone()).or_default();
        of_source.push(point);
    }
    let mut checks = JoinSet::new();
    for (source, points) in by_source {
        let state = state.clone();
        checks.spawn(async move { (source, open_all(&state, &points).await) });
    }
    Ok(Json(survey(state, checks.join_all().await).await?))
}

/// Opens the disks of one point after the other, and says what cannot be opened. A source that does not answer is left.
async fn open_all(state: &AppState, points: &[Arc<RecoveryPoint>]) -> Vec<String> {
    let mut problems = Vec::new();
    for point in points {
        // What the scan found wrong is listed already.
        let is_known = point.disks.is_empty() && !point.problems.is_empty();
        match opening::disks(state, point).await {
            Err(error) if !is_known => {
                problems.push(format!(
                    "recovery point {:?} of {:?}: {error}",
                    point.id, point.vm
                ));
                if matches!(error, NotOpened::Silent { .. }) {
                    return problems;
                }
            }
            _ => {}
        }
    }
    problems
}

/// Counts VMs and points of each source and gathers problems, with those that are known of each source besides.
async fn survey(
    state: AppState,
    besides: Vec<(String, Vec<String>)>,
) -> Result<Vec<SourceView>, ApiError> {
    let gather = move || {
        let mut sources: BTreeMap<String, (SourceView, Vec<String>)> = BTreeMap::new();
        for label in &*state.sources {
            sources.entry(label.clone()).or_default();
        }
        for point in state.catalog.list(&Filter::default()) {
            let (view, vms) = sources.entry(point.source.clone()).or_default();
            view.points += 1;
            view.problems
                .extend(point.problems.iter().map(ToString::to_string));
            vms.push(point.vm.clone());
        }
        for (source, problems) in besides {
            let (view, _) = sources.entry(source).or_default();
            view.problems.extend(problems);
        }
        for found in state.catalog.problems() {
            let (view, _) = sources.entry(found.source).or_default();
            view.problems.push(found.problem.to_string());
        }
        let count = |(source, (view, mut vms)): (String, (SourceView, Vec<String>))| {
            vms.sort();
            vms.dedup();
            SourceView {
                source,
                vms: vms.len(),
                ..view
            }
        };
        sources.into_iter().map(count).collect()
    };
    tokio::task::spawn_blocking(gather)
        .await
        .map_err(|error| ApiError::internal("cannot look at the sources", &error))
}
