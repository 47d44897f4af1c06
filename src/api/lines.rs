//! Long answers: a line of JSON for each thing that happened, and one a second that says how far it is.
//!
//! The line a second also tells the client that the server is alive while a disk makes it wait. Whoever goes away drops the
//! answer, and with it the work.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::target::LongAnswer;

/// The content type of such an answer: newline-delimited JSON.
pub(super) const LINES: &str = "application/x-ndjson";

/// How often the client is told how far it is.
const BEAT: Duration = Duration::from_secs(1);

/// Work that tells of itself as it goes on. Dropping it ends the work.
pub(super) trait Telling: Send + Unpin + 'static {
    /// What is told.
    type Event: Serialize;

    /// The next thing that happened; `None` after the last.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Event>>;

    /// How far it is.
    fn progress(&self) -> Self::Event;
}

/// An answer that goes on as long as the work does.
pub(super) fn answer(work: impl Telling) -> Response {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answer = Response::new(Body::new(Lines { work, beat }));
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(LINES),
    );
    answer.extensions_mut().insert(LongAnswer);
    answer
}

struct Lines<W> {
    work: W,
    beat: Interval,
}

impl<W: Telling> hyper::body::Body for Lines<W> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Lines { work, beat } = self.get_mut();
        let event = match work.poll_event(context) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(event)) => event,
            Poll::Pending => {
                ready!(beat.poll_tick(context));
                work.progress()
            }
        };
        let Ok(mut line) = serde_json::to_vec(&event) else {
            // Our own types, without maps: they always are JSON.
            return Poll::Ready(None);
        };
        line.push(b'\n');
        Poll::Ready(Some(Ok(Frame::data(line.into()))))
    }
}
