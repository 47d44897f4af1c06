//! Making a grant.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::body::JsonBody;
use super::error::{ApiError, ErrorBody};
use super::handout::{self, Handout};
use super::opening;
use crate::grant::{self, Caller, GrantId, GrantedDisk, NewGrant};
use crate::point::PointRef;

const NOT_MADE: &str = "no grant was made";

/// What the grant will be used from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// A mount script for Linux.
    Linux,
    /// A mount script for Windows.
    Windows,
    /// Connection details as JSON, for an initiator of one's own.
    Bundle,
}

/// What a grant is asked for.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGrant {
    /// The machine that was backed up.
    pub vm: String,
    /// A recovery point's id, or `latest`.
    #[serde(default = "latest")]
    pub point: String,
    /// What to hand out.
    pub os: Platform,
    /// Seconds until it expires: up to 12 hours, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
}

fn latest() -> String {
    "latest".into()
}

/// A grant that was just made. The password and the content are given out this once.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedGrant {
    /// Its id.
    #[schema(value_type = String)]
    pub grant: GrantId,
    /// Its target's name.
    pub iqn: String,
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id.
    pub point: String,
    /// When its time runs out.
    pub expires_at: Timestamp,
    /// What opens the mount script; `null` for a bundle, which is not sealed.
    pub password: Option<String>,
    /// A name for the file, fit for every file system.
    pub file_name: String,
    /// The file: a mount script or a bundle.
    pub content: String,
    /// Disks of the recovery point that are damaged and not served; mostly empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_served: Vec<NotServed>,
}

/// A disk that is damaged and not served. The others keep their LUNs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NotServed {
    /// Its place among the disks of the recovery point.
    pub lun: u16,
    /// Its name.
    pub name: String,
    /// What is wrong with it, and what to do.
    pub reason: String,
}

/// Makes a grant, and its mount script or bundle
#[utoipa::path(
    post, path = "/api/v1/grants", tag = "grants", request_body = CreateGrant,
    responses(
        (status = 201, body = CreatedGrant),
        (status = 400, body = ErrorBody, description = "the request is not one"),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "no such VM or recovery point"),
        (status = 409, body = ErrorBody, description = "the recovery point cannot be used"),
        (status = 413, body = ErrorBody),
        (status = 429, body = ErrorBody, description = "too many active grants"),
        (status = 501, body = ErrorBody, description = "no mount script for this platform"),
        (status = 503, body = ErrorBody, description = "a source does not answer"),
    )
)]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<CreateGrant>,
) -> Result<impl IntoResponse, ApiError> {
    if asked.os == Platform::Windows {
        return Err(ApiError::new(
            StatusCode::NOT_IMPLEMENTED,
            NOT_MADE,
            "this version makes no mount script for Windows",
            "use `--os bundle` with an initiator of your own, or a Linux machine and `--os linux`",
        ));
    }
    let (os, lifetime) = (asked.os, asked.lifetime_seconds);
    let (found, not_served) = find_point(&state, asked).await?;
    let created = state
        .grants
        .create(NewGrant {
            lifetime: lifetime.map_or(grant::LIFETIME, Duration::from_secs),
            by: caller,
            ..found
        })
        .await
        .map_err(|error| ApiError::because(NOT_MADE, error))?;
    let record = Arc::clone(&created.record);
    let made = tokio::task::spawn_blocking({
        let (state, not_served) = (state.clone(), not_served.clone());
        move || handout::make(&state, created, os, &not_served)
    })
    .await;
    let handout = match made {
        Ok(Ok(handout)) => handout,
        Ok(Err(error)) => return Err(take_back(&state, &record.id, &error).await),
        Err(error) => return Err(take_back(&state, &record.id, &error).await),
    };
    let Handout {
        file_name,
        content,
        password,
    } = handout;
    let answer = CreatedGrant {
        grant: record.id.clone(),
        iqn: record.id.iqn(),
        vm: record.vm.clone(),
        point: record.point.clone(),
        expires_at: record.expires_at,
        password,
        file_name,
        content,
        not_served,
    };
    // What is given out this once must not lie in a cache.
    let once = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, once, Json(answer)))
}

/// Looks the point up and opens its disks, to learn their sizes and that they can be served. Those that are damaged are told.
async fn find_point(
    state: &AppState,
    asked: CreateGrant,
) -> Result<(NewGrant, Vec<NotServed>), ApiError> {
    let catalog = Arc::clone(&state.catalog);
    // Folders may lie on slow storage.
    let find = move || catalog.find(&asked.vm, &PointRef::from(asked.point.as_str()));
    let point = tokio::task::spawn_blocking(find)
        .await
        .map_err(|error| ApiError::internal(NOT_MADE, &error))?
        .map_err(|error| ApiError::because(NOT_MADE, error))?;
    let opened = opening::luns(state, &point)
        .await
        .map_err(|error| error.into_api(NOT_MADE))?;
    let (mut disks, mut not_served) = (Vec::new(), Vec::new());
    for (lun, opened) in (0..).zip(opened) {
        match opened.disk {
            Ok(disk) => disks.push(GrantedDisk {
                lun,
                name: opened.name,
                size: disk.info().size,
                sector_size: disk.info().sector_size,
            }),
            Err(error) => {
                tracing::warn!(vm = point.vm.as_str(), point = point.id.as_str(), disk = opened.name, %error, "a disk is damaged and not served");
                not_served.push(NotServed {
                    lun,
                    name: opened.name,
                    reason: error.to_string(),
                });
            }
        }
    }
    let found = NewGrant {
        vm: point.vm.clone(),
        point: point.id.clone(),
        source: point.source.clone(),
        disks,
        lifetime: grant::LIFETIME,
        by: "itemlift".into(),
    };
    Ok((found, not_served))
}

/// Revokes a grant that could not be handed out.
async fn take_back(
    state: &AppState,
    id: &GrantId,
    error: &(dyn std::fmt::Display + Sync),
) -> ApiError {
    if let Err(error) = state.grants.revoke(id, "itemlift").await {
        tracing::error!(grant = %id, %error, "a grant that could not be handed out was not revoked");
    }
    ApiError::internal(NOT_MADE, error)
}
