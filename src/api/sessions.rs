//! Sessions of the data plane.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::error::ErrorBody;
use crate::grant::GrantId;
use crate::target::SessionInfo;

/// An iSCSI session.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionView {
    /// Its handle.
    pub tsih: u16,
    /// The grant that it uses.
    #[schema(value_type = String)]
    pub grant: GrantId,
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id.
    pub point: String,
    /// The initiator's name.
    pub initiator: String,
    /// `normal` or `discovery`.
    pub kind: String,
    /// The peer. Behind a tunnel, the tunnel's address.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Whether the connection is under TLS.
    pub tls: bool,
    /// When it logged in.
    pub since: Timestamp,
    /// SCSI commands taken.
    pub commands: u64,
    /// Bytes of disk contents sent.
    pub bytes_read: u64,
}

impl From<SessionInfo> for SessionView {
    fn from(info: SessionInfo) -> Self {
        Self {
            tsih: info.tsih,
            grant: info.grant,
            vm: info.vm,
            point: info.point,
            initiator: info.initiator,
            kind: info.kind.to_string(),
            address: info.address,
            tls: info.tls,
            since: info.since,
            commands: info.commands,
            bytes_read: info.bytes_read,
        }
    }
}

/// The sessions there are now
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions",
    responses((status = 200, body = [SessionView]), (status = 401, body = ErrorBody))
)]
pub(super) async fn list(State(state): State<AppState>) -> Json<Vec<SessionView>> {
    let sessions = state.sessions.list();
    Json(sessions.into_iter().map(SessionView::from).collect())
}
