//! CONTROL PLANE: the HTTPS API. One resource a file; never on the read path.
//!
//! Each request needs the token, apart from `health`, the API's description, and `grant/self`, which answers
//! to a grant's client certificate.

mod body;
mod create_grant;
mod error;
mod grants;
mod handout;
mod health;
mod lines;
mod metrics;
pub mod openapi;
mod opening;
mod own_grant;
mod points;
mod sessions;
mod show_point;
mod sources;
mod token;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::config::Portal;
use crate::grant::Grants;
use crate::grant::authority::Authority;
use crate::metrics::Metrics;
use crate::point::Catalog;
use crate::target::{Places, Sessions};
use crate::verify::Verifies;
pub use create_grant::{CreateGrant, CreatedGrant, NotServed, Platform};
pub use error::{ApiError, ErrorBody, Problem};
pub use grants::GrantView;
pub use health::Health;
pub use own_grant::OwnGrant;
pub use points::PointView;
pub use sessions::SessionView;
pub use show_point::{DiskView, OpenedPoint};
pub use sources::{CheckEvent, LeftOut, SourceView};
pub use token::{ApiToken, OPERATOR_HEADER};
pub use verify::VerifyPoint;

/// What the API answers from. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The grants.
    pub grants: Arc<Grants>,
    /// The recovery points.
    pub catalog: Arc<Catalog>,
    /// The configured sources' names.
    pub sources: Arc<[String]>,
    /// The data plane's sessions.
    pub sessions: Arc<Sessions>,
    /// The verifications under way.
    pub verifies: Arc<Verifies>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Places for what may block.
    pub places: Arc<Places>,
    /// What certificates are issued and scripts signed with.
    pub authority: Arc<Authority>,
    /// What a client must show.
    pub token: ApiToken,
    /// The site label.
    pub site: Arc<str>,
    /// What scripts connect to.
    pub portal: Portal,
}

/// The API.
pub fn router(state: AppState) -> Router {
    let for_operators = Router::new()
        .route("/api/v1/sources", get(sources::list))
        .route("/api/v1/sources/check", post(sources::check))
        .route("/api/v1/points", get(points::list))
        .route("/api/v1/points/show", get(show_point::show))
        .route("/api/v1/points/verify", post(verify::verify))
        .route(
            "/api/v1/grants",
            get(grants::list).post(create_grant::create),
        )
        .route("/api/v1/grants/{id}", get(grants::show))
        .route("/api/v1/grants/{id}/renew", post(grants::renew))
        .route("/api/v1/grants/{id}/revoke", post(grants::revoke))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/metrics", get(metrics::show))
        .method_not_allowed_fallback(wrong_method)
        .route_layer(from_fn_with_state(state.clone(), token::require_token));
    let for_all = Router::new()
        .route("/api/v1/health", get(health::show))
        .route("/api/v1/openapi.json", get(openapi::show))
        .route("/api/v1/grant/self", get(own_grant::show))
        .method_not_allowed_fallback(wrong_method);
    for_operators
        .merge(for_all)
        .fallback(nothing_here)
        .with_state(state)
}

async fn nothing_here() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "the API does not answer",
        "there is nothing at this address",
        "see /api/v1/openapi.json",
    )
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "the API does not answer",
        "this address does not take this method",
        "see /api/v1/openapi.json",
    )
}
