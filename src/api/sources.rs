//! Sources, and what is wrong with what lies in them.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use disk_image::Cache;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, JoinSet};
use tracing::error;

use super::AppState;
use super::error::{ApiError, ErrorBody};
use super::lines::{self, Telling};
use super::opening::{self, NotOpened};
use crate::point::{Filter, Ignored, OpenError, RecoveryPoint};

const NOT_CHECKED: &str = "cannot check the sources";

/// Index tables that a check keeps in memory, in bytes. It reads none twice.
const CACHE_BYTES: usize = 1024 * 1024;

/// A source.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SourceView {
    /// Its name: the folder, of an `images` source.
    pub source: String,
    /// VMs in it.
    pub vms: usize,
    /// Recovery points in it.
    pub points: usize,
    /// Disks of these, as far as it can be told without opening them.
    pub disks: usize,
    /// When the oldest of its recovery points was made.
    pub oldest: Option<Timestamp>,
    /// When the newest was.
    pub newest: Option<Timestamp>,
    /// What is wrong with it or with points in it, and what to do; empty if nothing is.
    pub problems: Vec<String>,
    /// Files beside the disks that are not used, and why.
    pub left_out: Vec<LeftOut>,
}

/// A file that is not used.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LeftOut {
    /// The file, relative to the source.
    pub file: String,
    /// Why.
    pub reason: String,
}

impl From<&Ignored> for LeftOut {
    fn from(ignored: &Ignored) -> Self {
        Self {
            file: ignored.path.to_string_lossy().into_owned(),
            reason: ignored.reason.to_owned(),
        }
    }
}

/// One line of a check's answer. The last is `finished`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum CheckEvent {
    /// How far it is; about once a second.
    Progress {
        /// Recovery points whose disks were opened.
        done: u64,
        /// Recovery points in all; 0 while the sources are looked at.
        points: u64,
    },
    /// What was found.
    Finished {
        /// The sources.
        sources: Vec<SourceView>,
    },
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
///
/// The answer is a line of JSON for each event, as they happen. It ends without `finished` if the server failed. The work ends when
/// the client goes away.
#[utoipa::path(
    post, path = "/api/v1/sources/check", tag = "sources",
    responses(
        (status = 200, body = CheckEvent, content_type = "application/x-ndjson"),
        (status = 401, body = ErrorBody),
    )
)]
pub(super) async fn check(State(state): State<AppState>) -> Response {
    let gauge = Arc::new(Gauge::default());
    let work = tokio::spawn(check_all(state, Arc::clone(&gauge)));
    lines::answer(Check {
        work: Some(work),
        gauge,
    })
}

/// A check under way. Ends once this is dropped.
struct Check {
    /// `None`: told.
    work: Option<JoinHandle<Result<Vec<SourceView>, ApiError>>>,
    gauge: Arc<Gauge>,
}

/// How far it is.
#[derive(Default)]
struct Gauge {
    done: AtomicU64,
    points: AtomicU64,
}

impl Telling for Check {
    type Event = CheckEvent;

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<CheckEvent>> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        let done = ready!(Pin::new(work).poll(context));
        self.work = None;
        // What failed is in the log: the answer has begun, and can only break off.
        Poll::Ready(match done {
            Ok(sources) => {
                let sources = sources.ok();
                sources.map(|sources| CheckEvent::Finished { sources })
            }
            Err(error) => {
                error!(%error, "{NOT_CHECKED}");
                None
            }
        })
    }

    fn progress(&self) -> CheckEvent {
        CheckEvent::Progress {
            done: self.gauge.done.load(Ordering::Relaxed),
            points: self.gauge.points.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if let Some(work) = &self.work {
            work.abort();
        }
    }
}

async fn check_all(state: AppState, gauge: Arc<Gauge>) -> Result<Vec<SourceView>, ApiError> {
    let catalog = state.catalog.clone();
    let look = move || {
        catalog.rescan();
        catalog.list(&Filter::default())
    };
    let points = tokio::task::spawn_blocking(look)
        .await
        .map_err(|error| ApiError::internal(NOT_CHECKED, &error))?;
    gauge.points.store(points.len() as u64, Ordering::Relaxed);
    let mut by_source: BTreeMap<String, Vec<Arc<RecoveryPoint>>> = BTreeMap::new();
    for point in points {
        let of_source = by_source.entry(point.source.clone()).or_default();
        of_source.push(point);
    }
    // They go with this task, should nobody want them any more.
    let mut checks = JoinSet::new();
    for (source, points) in by_source {
        let (state, gauge) = (state.clone(), Arc::clone(&gauge));
        checks.spawn(async move { (source, open_all(&state, &points, &gauge).await) });
    }
    survey(state, checks.join_all().await).await
}

/// Opens the disks of one point after the other, and says of each that cannot be opened why. A source that does not answer is left.
async fn open_all(state: &AppState, points: &[Arc<RecoveryPoint>], gauge: &Gauge) -> Vec<String> {
    let cache = Arc::new(Cache::new(CACHE_BYTES));
    let mut problems = Vec::new();
    for point in points {
        // What the scan found wrong is listed already.
        let is_known = point.disks.is_empty() && !point.problems.is_empty();
        let of_point = |error: &dyn std::fmt::Display| {
            format!("recovery point {:?} of {:?}: {error}", point.id, point.vm)
        };
        match opening::each_disk(state, point, &cache).await {
            Ok(opened) => {
                let faults = opened
                    .iter()
                    .filter_map(|opened| opened.disk.as_ref().err());
                problems.extend(faults.map(|error: &OpenError| of_point(error)));
            }
            Err(error) if !is_known => {
                problems.push(of_point(&error));
                if matches!(error, NotOpened::Silent { .. }) {
                    return problems;
                }
            }
            Err(_) => {}
        }
        gauge.done.fetch_add(1, Ordering::Relaxed);
    }
    problems
}

/// What one source was found to hold.
#[derive(Default)]
struct Survey {
    view: SourceView,
    vms: BTreeSet<String>,
}

/// Counts what each source holds and gathers problems, with those that are known of each source besides.
async fn survey(
    state: AppState,
    besides: Vec<(String, Vec<String>)>,
) -> Result<Vec<SourceView>, ApiError> {
    let gather = move || {
        let mut sources: BTreeMap<String, Survey> = BTreeMap::new();
        for label in &*state.sources {
            sources.entry(label.clone()).or_default();
        }
        for point in state.catalog.list(&Filter::default()) {
            sources.entry(point.source.clone()).or_default().add(&point);
        }
        for (source, problems) in besides {
            sources
                .entry(source)
                .or_default()
                .view
                .problems
                .extend(problems);
        }
        for found in state.catalog.problems() {
            let survey = sources.entry(found.source).or_default();
            survey.view.problems.push(found.problem.to_string());
        }
        let count = |(source, survey): (String, Survey)| SourceView {
            source,
            vms: survey.vms.len(),
            ..survey.view
        };
        sources.into_iter().map(count).collect()
    };
    tokio::task::spawn_blocking(gather)
        .await
        .map_err(|error| ApiError::internal("cannot look at the sources", &error))
}

impl Survey {
    fn add(&mut self, point: &RecoveryPoint) {
        let view = &mut self.view;
        view.points += 1;
        view.disks += point.disks.len();
        view.oldest = Some(
            view.oldest
                .map_or(point.time, |oldest| oldest.min(point.time)),
        );
        view.newest = view.newest.max(Some(point.time));
        view.problems
            .extend(point.problems.iter().map(ToString::to_string));
        view.left_out
            .extend(point.ignored.iter().map(LeftOut::from));
        if !self.vms.contains(&point.vm) {
            self.vms.insert(point.vm.clone());
        }
    }
}
