//! What the API answers when it cannot do what was asked.

use std::borrow::Cow;
use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::grant::{GrantError, NotAGrantId};
use crate::point::CatalogError;

/// Something that failed: in JSON `{"error": {"what", "why", "do"}}`.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The three parts of the sentence.
    pub problem: Problem,
}

/// One sentence in three parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// What failed.
    pub what: Cow<'static, str>,
    /// Why.
    pub why: Cow<'static, str>,
    /// What to do about it; empty when `why` says it already.
    #[serde(rename = "do", default, skip_serializing_if = "str::is_empty")]
    pub advice: Cow<'static, str>,
}

/// The body of an error.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: Problem,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

impl ApiError {
    /// A failure to be answered with `status`.
    pub(super) fn new(
        status: StatusCode,
        what: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            problem: Problem {
                what: what.into(),
                why: why.into(),
                advice: advice.into(),
            },
        }
    }

    /// A failure of ours. The log says more than the answer where `why` may show inner workings.
    pub(super) fn internal(what: &'static str, error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            what,
            "the server failed",
            "look into the server's log",
        )
    }

    /// Says of a domain's error what it was that failed.
    pub(super) fn because(what: &'static str, cause: impl Into<Cause>) -> Self {
        let Cause {
            status,
            why,
            advice,
        } = cause.into();
        if status.is_server_error() {
            tracing::error!(error = %why, "{what}");
        }
        Self::new(status, what, why, advice)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: self.problem,
        };
        (self.status, Json(body)).into_response()
    }
}

/// Status, reason and advice of a domain's error.
pub(super) struct Cause {
    status: StatusCode,
    why: String,
    advice: &'static str,
}

impl From<CatalogError> for Cause {
    fn from(error: CatalogError) -> Self {
        let status = match &error {
            CatalogError::UnknownVm { .. }
            | CatalogError::UnknownPoint { .. }
            | CatalogError::UnknownDisk { .. } => StatusCode::NOT_FOUND,
            CatalogError::Silent { .. } => StatusCode::SERVICE_UNAVAILABLE,
            CatalogError::Ambiguous { .. }
            | CatalogError::TwoNewest { .. }
            | CatalogError::Unusable { .. }
            | CatalogError::Open(_)
            | CatalogError::BaseUnknown(_)
            | CatalogError::UnknownSource(_)
            | CatalogError::DuplicateSource(_) => StatusCode::CONFLICT,
        };
        // The catalog's sentences say what to do themselves.
        Self {
            status,
            why: error.to_string(),
            advice: "",
        }
    }
}

impl From<GrantError> for Cause {
    fn from(error: GrantError) -> Self {
        let (status, advice) = match &error {
            GrantError::Unknown(_) => (
                StatusCode::NOT_FOUND,
                "`itemlift grant list` shows those that exist",
            ),
            GrantError::NotActive { .. } => (StatusCode::CONFLICT, "create a new grant"),
            GrantError::Lifetime => (StatusCode::BAD_REQUEST, "ask for a lifetime up to 12h"),
            GrantError::Disks(_) => (StatusCode::CONFLICT, "choose another recovery point"),
            GrantError::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "revoke those that are not needed",
            ),
            GrantError::EndNotKept { .. } | GrantError::Store(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "see that the state directory is writable and its disk not full, then try again",
            ),
            GrantError::Authority(_)
            | GrantError::Random(_)
            | GrantError::Seal(_)
            | GrantError::Chap(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "look into the server's log",
            ),
        };
        Self {
            status,
            why: error.to_string(),
            advice,
        }
    }
}

impl From<NotAGrantId> for Cause {
    fn from(error: NotAGrantId) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            why: error.to_string(),
            advice: "`itemlift grant list` shows those that exist",
        }
    }
}
