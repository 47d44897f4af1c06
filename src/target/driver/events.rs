//! What a connection waits for, and how it waits for all of it at once.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use iscsi_proto::ShutDown;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::Driver;
use crate::target::limits::INPUT_ROOM;

/// The first thing that came.
pub(super) enum Event {
    Received(usize),
    /// Something was sent, or work was done.
    Progress,
    Ordered,
    Ends(ShutDown),
    TimeIsUp,
    Failed(io::Error),
}

impl<S> Driver<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Sends, and looks for whatever has come: orders, time, work done, input. What a peer can bring about without end comes last, and
    /// a disk that is never idle does not keep input waiting: a revoke, a deadline and a NOP-Out have their turn whatever flows.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut progress = match self.poll_send(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Event::Failed(error)),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        if let Some(session) = &mut self.session
            && session.orders.poll(cx).is_ready()
        {
            return Poll::Ready(Event::Ordered);
        }
        if self.shut_down.is_none()
            && let Poll::Ready(why) = self.ending.as_mut().poll(cx)
        {
            return Poll::Ready(Event::Ends(why));
        }
        if self.poll_timer(cx).is_ready() {
            return Poll::Ready(Event::TimeIsUp);
        }
        while let Poll::Ready(Some(work)) = self.work.poll_join_next(cx) {
            match work {
                Ok(done) => self.done(done),
                // Work panics on nothing that comes from outside; should it ever, the connection goes, not the server.
                Err(error) => return Poll::Ready(Event::Failed(io::Error::other(error))),
            }
            progress = true;
        }
        if self.machine.wants_input() && self.inbox.len() < 2 * INPUT_ROOM {
            self.inbox.reserve(self.memory.input_room());
            if let Poll::Ready(read) = pin!(self.stream.read_buf(&mut self.inbox)).poll(cx) {
                return Poll::Ready(read.map_or_else(Event::Failed, Event::Received));
            }
        }
        if progress {
            Poll::Ready(Event::Progress)
        } else {
            Poll::Pending
        }
    }

    /// `Ready` when something was sent; `Pending` when there is nothing to send, too.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        if !self.outbox.is_empty() {
            self.unflushed = true;
            let count = ready!(self.outbox.poll_write(stream, cx))?;
            self.last_sent = Instant::now();
            self.meter.sent(count, self.last_sent);
            return Poll::Ready(Ok(()));
        }
        if self.unflushed {
            let flushed = stream.as_mut().poll_flush(cx);
            self.unflushed = flushed.is_pending();
            // Only a connection that is about to close waits for this.
            return if self.machine.is_closed() || matches!(flushed, Poll::Ready(Err(_))) {
                flushed
            } else {
                Poll::Pending
            };
        }
        Poll::Pending
    }

    /// The timer is set anew only when it has rung or must ring earlier: deadlines that move back with each PDU cost nothing.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wanted = [
            self.machine.poll_timeout(),
            self.shut_down.map(|(_, until)| until),
            self.stall_deadline(),
            self.memory.tidy_at(),
            self.meter.fold_at(),
        ];
        if let Some(wanted) = wanted.into_iter().flatten().min()
            && (self.rung || wanted < self.timer.deadline().into_std())
        {
            self.timer.as_mut().reset(wanted.into());
            self.rung = false;
        }
        if self.rung {
            return Poll::Pending;
        }
        let time = self.timer.as_mut().poll(cx);
        self.rung = time.is_ready();
        time
    }

    /// When a peer that takes nothing has had its time.
    pub(super) fn stall_deadline(&self) -> Option<Instant> {
        (!self.outbox.is_empty()).then(|| self.last_sent + self.plane.limits.send_stall)
    }
}
