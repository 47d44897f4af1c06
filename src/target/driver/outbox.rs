//! PDUs on their way out: several to a write, headers and data together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use iscsi_proto::Transmit;
use tokio::io::AsyncWrite;

use crate::target::limits::{WRITE_BATCH_BYTES, WRITE_BATCH_PDUS, WRITE_SLICES};

/// What was taken from the protocol machine and is not yet written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pdus: VecDeque<Transmit>,
    /// Bytes of `pdus`, without those already written.
    bytes: usize,
    /// Bytes of the first PDU that are written.
    written: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.pdus.is_empty()
    }

    /// Whether more should be taken now. What is left in the machine can still be overtaken by control PDUs.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < WRITE_BATCH_BYTES && self.pdus.len() < WRITE_BATCH_PDUS
    }

    /// Bytes that wait to be written.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back the room that the queue had at its longest.
    pub(super) fn trim(&mut self) {
        self.pdus.shrink_to_fit();
    }

    pub(super) fn push(&mut self, pdu: Transmit) {
        self.bytes += pdu.len();
        self.pdus.push_back(pdu);
    }

    /// Writes once. `Ready` with the number of bytes, not 0 unless the outbox is empty.
    pub(super) fn poll_write<S>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncWrite,
    {
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
        let mut places = slices.iter_mut();
        let mut skip = self.written;
        let parts = self
            .pdus
            .iter()
            .flat_map(|pdu| [pdu.head.as_ref(), pdu.data.as_ref(), pdu.tail.as_ref()]);
        let mut filled = 0;
        for part in parts {
            let Some(rest) = part.get(skip..) else {
                skip -= part.len();
                continue;
            };
            skip = 0;
            if rest.is_empty() {
                continue;
            }
            let Some(place) = places.next() else { break };
            *place = IoSlice::new(rest);
            filled += 1;
        }
        let slices = slices.get(..filled).unwrap_or_default();
        if slices.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = ready!(stream.poll_write_vectored(cx, slices))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(count);
        Poll::Ready(Ok(count))
    }

    fn advance(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        self.written += count;
        while let Some(first) = self.pdus.front() {
            let len = first.len();
            if self.written < len {
                break;
            }
            self.written -= len;
            self.pdus.pop_front();
        }
    }
}
