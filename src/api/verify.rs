//! Verifying a recovery point: everything is read, and what is damaged is told.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::body::JsonBody;
use super::error::{ApiError, ErrorBody};
use super::lines::{self, Telling};
use super::opening;
use crate::grant::audit::{Event as Audited, What};
use crate::grant::{Caller, Grants};
use crate::point::PointRef;
use crate::verify::{Event, Finished, Plan, VERIFICATIONS, Verification};

const NOT_VERIFIED: &str = "the recovery point is not verified";

/// What is to be verified.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyPoint {
    /// The machine that was backed up.
    pub vm: String,
    /// A recovery point's id, or `latest`.
    pub point: String,
    /// Only the disk of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
}

/// Reads everything of a recovery point, and tells what is damaged
///
/// The answer is a line of JSON for each event, as they happen. It ends without `finished` if the verification did not come to
/// its end. The work ends when the client goes away.
#[utoipa::path(
    post, path = "/api/v1/points/verify", tag = "points", request_body = VerifyPoint,
    responses(
        (status = 200, body = Event, content_type = "application/x-ndjson"),
        (status = 400, body = ErrorBody, description = "the request is not one"),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "no such VM, recovery point or disk"),
        (status = 409, body = ErrorBody, description = "nothing of the recovery point can be used"),
        (status = 429, body = ErrorBody, description = "too many verifications are under way"),
        (status = 503, body = ErrorBody, description = "the source does not answer"),
    )
)]
pub(super) async fn verify(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<VerifyPoint>,
) -> Result<Response, ApiError> {
    let place = state.verifies.place().ok_or_else(|| {
        ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            NOT_VERIFIED,
            format!("{VERIFICATIONS} verifications are under way, which is the limit"),
            "try again when one has ended",
        )
    })?;
    let catalog = Arc::clone(&state.catalog);
    let find = move || catalog.find(&asked.vm, &PointRef::from(asked.point.as_str()));
    let point = tokio::task::spawn_blocking(find)
        .await
        .map_err(|error| ApiError::internal(NOT_VERIFIED, &error))?
        .map_err(|error| ApiError::because(NOT_VERIFIED, error))?;
    let opened = opening::each_disk(&state, &point, &Plan::cache())
        .await
        .map_err(|error| error.into_api(NOT_VERIFIED))?;
    let plan = Plan::new(point, opened, asked.disk.as_deref())
        .map_err(|error| ApiError::because(NOT_VERIFIED, error))?;
    let ended = audit(&state.grants, caller, &plan);
    let verification = Verification::begin(plan, place, ended)
        .map_err(|error| ApiError::internal(NOT_VERIFIED, &error))?;
    Ok(lines::answer(verification))
}

/// One line for the audit log, written at the end, whether the client is still there or not.
fn audit(
    grants: &Arc<Grants>,
    caller: Caller,
    plan: &Plan,
) -> impl FnOnce(&Finished, bool) + Send + 'static {
    let grants = Arc::clone(grants);
    let (vm, point) = (plan.point().vm.clone(), plan.point().id.clone());
    move |finished, is_complete| {
        grants.audit().record(Audited {
            who: Some(caller.name),
            address: caller.address,
            vm: Some(vm),
            point: Some(point),
            bytes_read: Some(finished.bytes_read),
            reason: Some(outcome(finished, is_complete)),
            ..Audited::new(What::Verified)
        });
    }
}

fn outcome(finished: &Finished, is_complete: bool) -> String {
    let Finished {
        disks,
        damaged_disks,
        ..
    } = finished;
    let damage = match damaged_disks {
        0 => "nothing is damaged".to_owned(),
        _ => format!("{damaged_disks} of {disks} disks damaged"),
    };
    match is_complete {
        true => damage,
        false => format!("not to the end; so far {damage}"),
    }
}

impl Telling for Verification {
    type Event = Event;

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(context)
    }

    fn progress(&self) -> Event {
        Event::Progress(Verification::progress(self))
    }
}
