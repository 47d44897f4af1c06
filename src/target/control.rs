//! The control plane's HTTP on the same TLS stream: HTTP/1.1 and HTTP/2 into the API's router.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;
use tracing::debug;

use super::limits::{HTTP_HEAD_TIME, HTTP_STREAMS};
use crate::grant::{GrantId, LiveGrant};

/// Request extension: the client showed this grant's certificate, so it may ask about this grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientGrant(pub GrantId);

/// The router and the HTTP settings that all control connections share.
pub(super) struct Control {
    router: Router,
    http: Builder<TokioExecutor>,
}

impl Control {
    pub(super) fn new(router: Router) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_HEAD_TIME);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP_STREAMS)
            .keep_alive_interval(HTTP_HEAD_TIME);
        Self { router, http }
    }
}

/// Serves one connection until it ends or the server stops. Requests carry [`ConnectInfo`] and, with a grant's certificate,
/// [`ClientGrant`].
pub(super) async fn serve<S>(
    stream: S,
    address: SocketAddr,
    grant: Option<Arc<LiveGrant>>,
    control: &Control,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = grant.map(|grant| ClientGrant(grant.id.clone()));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        if let Some(client) = &client {
            request.extensions_mut().insert(client.clone());
        }
        // A router is always ready (axum documents `poll_ready` as a no-op).
        control.router.clone().call(request)
    });
    let connection = control
        .http
        .serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "the HTTP connection ended");
    }
}
