//! The end of a connection: who may order it, and the last words.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::time::Instant;

use iscsi_proto::{SessionEnd, ShutDown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::Driver;
use crate::grant::audit::What;
use crate::grant::{GrantState, LiveGrant};
use crate::target::limits::LAST_WORDS_TIME;
use crate::target::tls::linger;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("logged out")]
    Done,
    #[error("the target was reset")]
    Reset,
    #[error("the peer does not answer")]
    Silent,
    #[error("{}", reason(*.0))]
    ShutDown(ShutDown),
    #[error("the peer closed the connection")]
    PeerClosed,
    #[error("the peer takes nothing")]
    Stalled,
    #[error("protocol error: {0}")]
    Protocol(iscsi_proto::Error),
    #[error("connection lost: {0}")]
    Lost(io::Error),
}

/// Completes when the connection has to end.
pub(super) type Ending = Pin<Box<dyn Future<Output = ShutDown> + Send>>;

/// Completes when the grant ends or the server stops.
pub(super) fn ending(
    grant: Option<&LiveGrant>,
    stop: CancellationToken,
) -> impl Future<Output = ShutDown> + Send + use<> {
    let standing = grant.map(LiveGrant::watch);
    async move {
        let grant_ends = async {
            let Some(mut standing) = standing else {
                return std::future::pending().await;
            };
            match standing
                .wait_for(|now| now.state != GrantState::Active)
                .await
            {
                Ok(now) if now.state == GrantState::Expired => ShutDown::Expired,
                Ok(_) => ShutDown::Revoked,
                // The grants are gone, so the server is going down.
                Err(_) => ShutDown::ServerStopping,
            }
        };
        tokio::select! {
            why = grant_ends => why,
            () = stop.cancelled() => ShutDown::ServerStopping,
        }
    }
}

/// For logs.
pub(super) fn reason(why: ShutDown) -> &'static str {
    match why {
        ShutDown::Revoked => "the grant was revoked",
        ShutDown::Expired => "the grant has expired",
        ShutDown::ServerStopping => "the server is stopping",
        ShutDown::Reinstated => "the initiator has logged in again",
    }
}

impl<S> Driver<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Why the machine has nothing more to say.
    pub(super) fn closed(&self) -> End {
        match (self.shut_down, self.machine.status().end) {
            (Some((why, _)), _) => End::ShutDown(why),
            (None, Some(SessionEnd::Reset)) => End::Reset,
            (None, Some(SessionEnd::Silent)) => End::Silent,
            (None, Some(SessionEnd::LoggedOut) | None) => End::Done,
        }
    }

    /// Last words, the log, the end.
    pub(super) async fn finish(mut self, end: End) {
        // What is still being read is for nobody.
        self.work.shutdown().await;
        self.fold_last();
        self.media = None;
        self.tell_of_end(&end);
        let polite = !matches!(end, End::PeerClosed | End::Stalled | End::Lost(_));
        if polite {
            // A peer that takes nothing does not get longer than this.
            let sent = timeout(LAST_WORDS_TIME, self.send_rest()).await;
            debug!(complete = matches!(sent, Ok(Ok(()))), "last words");
        }
        // The nexus ends first, then the session: who waits to take its place must not meet it. Neither waits for the socket.
        drop(self.machine);
        drop(self.session);
        drop(self.meter);
        if polite {
            linger(self.stream).await;
        }
    }

    async fn send_rest(&mut self) -> std::io::Result<()> {
        loop {
            let now = Instant::now();
            // First what was taken before: the connection ends with a whole PDU.
            while !self.outbox.is_empty() {
                let stream = &mut self.stream;
                let count = poll_fn(|cx| self.outbox.poll_write(Pin::new(stream), cx)).await?;
                self.meter.sent(count, now);
            }
            let Some(pdu) = self.machine.poll_transmit() else {
                break;
            };
            if let Some(ended) = &pdu.ends {
                self.meter.ended(ended, now);
            }
            self.outbox.push(pdu);
        }
        poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await
    }

    fn tell_of_end(&self, end: &End) {
        let status = self.machine.status();
        if self.session.is_none() {
            debug!(reason = %end, "connection closed before login");
            return;
        }
        info!(reason = %end, bytes_read = status.bytes_read, "session closed");
        self.plane.audit(
            What::Closed,
            self.grant.as_deref(),
            self.peer.address,
            |event| {
                event.who = status.initiator.map(|name| name.to_string());
                event.bytes_read = Some(status.bytes_read);
                event.reason = Some(end.to_string());
            },
        );
    }
}
