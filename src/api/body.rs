//! Request bodies: small, in time, and only what is known.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Bytes of a body at most; the longest request names a VM and a point.
const MAX_BODY: usize = 64 * 1024;

/// How long a client may take over its body.
const BODY_TIME: Duration = Duration::from_secs(10);

const WHAT: &str = "the request cannot be read";

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = axum::body::to_bytes(request.into_body(), MAX_BODY);
        let bytes = tokio::time::timeout(BODY_TIME, body)
            .await
            .map_err(|_| {
                ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    WHAT,
                    "its body did not arrive within 10 seconds",
                    "try again",
                )
            })?
            .map_err(|_| {
                ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    WHAT,
                    "its body is over 64 KiB or broke off",
                    "send the JSON that the API description shows",
                )
            })?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                WHAT,
                error.to_string(),
                "send the JSON that the API description shows",
            )
        })?;
        Ok(Self(value))
    }
}

/// The query part of the address.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = Query::try_from_uri(&parts.uri).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                WHAT,
                error.body_text(),
                "correct the query part of the address",
            )
        })?;
        Ok(Self(query.0))
    }
}
