//! The control plane's HTTP on the same TLS stream: HTTP/1.1 and HTTP/2 into the API's router.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower_service::Service as _;
use tracing::debug;

use super::admission::Admitted;
use super::limits::{HTTP_HEAD_TIME, HTTP_STREAMS, Limits};
use crate::grant::{GrantId, LiveGrant};

/// Request extension: the client showed this grant's certificate, so it may ask about this grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientGrant(pub GrantId);

/// Request extension: how the router says that a request carried the operators' token.
#[derive(Clone, Debug)]
pub struct Introduction(Arc<Notify>);

impl Introduction {
    /// The client may stay, and no stranger takes its place.
    pub fn token_shown(&self) {
        self.0.notify_one();
    }
}

/// A client of the control plane that nothing is known of yet, but for its grant if it has shown the certificate of one.
pub(super) struct Visitor {
    pub(super) address: SocketAddr,
    pub(super) grant: Option<Arc<LiveGrant>>,
    pub(super) admitted: Admitted,
    /// When it was let in.
    pub(super) since: Instant,
}

/// Response extension: the answer takes as long as the work that it tells of. While it lasts, the connection is not idle.
///
/// Other answers are short. Were they counted too until the last byte is taken, a stranger who takes none would keep a
/// connection for ever.
#[derive(Clone, Copy, Debug)]
pub struct LongAnswer;

/// The router and the HTTP settings that all control connections share.
pub(super) struct Control {
    router: Router,
    http: Builder<TokioExecutor>,
    introduction_time: Duration,
    idle_time: Duration,
}

/// Requests of one connection that are being answered.
struct Requests(watch::Sender<usize>);

/// One of them; dropped when it is answered, or when the client takes it back.
struct Answering(Arc<Requests>);

impl Control {
    pub(super) fn new(router: Router, limits: &Limits) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_HEAD_TIME);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP_STREAMS)
            .keep_alive_interval(HTTP_HEAD_TIME);
        Self {
            router,
            http,
            introduction_time: limits.introduction_time,
            idle_time: limits.http_idle_time,
        }
    }
}

impl Requests {
    fn begin(self: &Arc<Self>) -> Answering {
        self.0.send_modify(|count| *count += 1);
        Answering(Arc::clone(self))
    }

    /// Returns when nothing was asked for so long. HTTP itself sees no harm in a client that says nothing, and a few hundred of
    /// them would keep the operators out.
    async fn idle(&self, time: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // The sender is ours: it does not go away.
            let _ = count.wait_for(|count| *count == 0).await;
            if timeout(time, count.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// A body until the end of which its request is being answered. It breaks off when the server stops.
struct Lasting {
    body: Body,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    _answering: Answering,
}

impl hyper::body::Body for Lasting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Lasting { body, stop, .. } = self.get_mut();
        match stop.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => Pin::new(body).poll_frame(context),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0
            .0
            .send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Serves one connection until it ends, is idle for too long, has not shown the token in time, or the server stops. Requests carry
/// [`ConnectInfo`], [`Introduction`] and, with a grant's certificate, [`ClientGrant`].
pub(super) async fn serve<S>(
    stream: S,
    visitor: Visitor,
    control: &Control,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Visitor {
        address,
        grant,
        mut admitted,
        since,
    } = visitor;
    let client = grant.map(|grant| ClientGrant(grant.id.clone()));
    let introduced = Arc::new(Notify::new());
    let introduction = Introduction(Arc::clone(&introduced));
    let requests = Arc::new(Requests(watch::Sender::new(0)));
    let counted = Arc::clone(&requests);
    let stopping = stop.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(address));
        extensions.insert(introduction.clone());
        if let Some(client) = &client {
            extensions.insert(client.clone());
        }
        // A router is always ready (axum documents `poll_ready` as a no-op).
        let answer = control.router.clone().call(request);
        let answering = counted.begin();
        let stop = stopping.clone();
        async move {
            let Ok(answer) = answer.await;
            Ok::<_, Infallible>(match answer.extensions().get::<LongAnswer>() {
                Some(LongAnswer) => answer.map(|body| {
                    Body::new(Lasting {
                        body,
                        stop: Box::pin(stop.cancelled_owned()),
                        _answering: answering,
                    })
                }),
                None => answer,
            })
        }
    });
    let connection = control
        .http
        .serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut is_stranger = true;
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = introduced.notified(), if is_stranger => {
                is_stranger = false;
                if !admitted.operator() {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = sleep_until(since + control.introduction_time), if is_stranger => {
                debug!("an HTTP connection without the token was closed");
                return;
            }
            () = requests.idle(control.idle_time) => {
                debug!("an idle HTTP connection was closed");
                return;
            }
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                break connection.await;
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "the HTTP connection ended");
    }
}
