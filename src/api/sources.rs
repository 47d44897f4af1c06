//! Sources, and what is wrong with what lies in them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::error::{ApiError, ErrorBody};
use crate::point::{Catalog, CatalogError, Filter, RecoveryPoint};

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
    survey(state, |_, _| None).await
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
    tokio::task::spawn_blocking(move || catalog.rescan())
        .await
        .map_err(|error| ApiError::internal("cannot check the sources", &error))?;
    survey(state, |catalog, point| {
        // What the scan found wrong is listed already.
        let is_known = point.disks.is_empty() && !point.problems.is_empty();
        match catalog.open_disks(point) {
            Err(error) if !is_known => Some(unusable(point, &error)),
            _ => None,
        }
    })
    .await
}

fn unusable(point: &RecoveryPoint, error: &CatalogError) -> String {
    format!("recovery point {:?} of {:?}: {error}", point.id, point.vm)
}

/// Counts VMs and points of each source and gathers problems, with those that `look` finds in a point.
async fn survey(
    state: AppState,
    look: fn(&Catalog, &RecoveryPoint) -> Option<String>,
) -> Result<Json<Vec<SourceView>>, ApiError> {
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
            view.problems.extend(look(&state.catalog, &point));
            vms.push(point.vm.clone());
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
        .map(Json)
        .map_err(|error| ApiError::internal("cannot look at the sources", &error))
}
