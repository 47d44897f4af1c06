//! Whole PDUs over a byte stream.

use std::io;

use bytes::{Bytes, BytesMut};
use iscsi_proto::pdu::Bhs;
use iscsi_proto::{Digests, Framing, StatSn, transmit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{InitiatorError, MAX_DATA_SEGMENT};

/// Bytes. Room made before each read from the stream.
const READ_ROOM: usize = 64 * 1024;

/// PDUs in both directions over one stream, whatever they mean.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    framing: Framing,
    digests: Digests,
    input: BytesMut,
    expected: StatSn,
}

impl<S> Wire<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// No digests, as login begins.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            framing: Framing::new(MAX_DATA_SEGMENT),
            digests: Digests::default(),
            input: BytesMut::new(),
            expected: StatSn(0),
        }
    }

    /// From now on, in both directions.
    pub(super) fn use_digests(&mut self, digests: Digests) {
        self.digests = digests;
        self.framing.set_digests(digests);
    }

    /// Sends one PDU, its length fields filled in.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn send(&mut self, bhs: Bhs, data: Bytes) -> io::Result<()> {
        let pdu = transmit(bhs, data, self.digests);
        let mut bytes = BytesMut::with_capacity(pdu.len());
        bytes.extend_from_slice(pdu.head.as_ref());
        bytes.extend_from_slice(&pdu.data);
        bytes.extend_from_slice(pdu.tail.as_ref());
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// Waits for the next whole PDU: its header and its data.
    ///
    /// # Errors
    /// The stream broke or ended, or what comes is no PDU.
    pub async fn receive(&mut self) -> Result<(Bhs, Bytes), InitiatorError> {
        loop {
            let frame = self.framing.next(&mut self.input).map_err(|_| {
                InitiatorError::Protocol("a PDU that is too long or has a wrong digest")
            })?;
            if let Some(frame) = frame {
                if frame.data_corrupt {
                    return Err(InitiatorError::Protocol("data with a wrong digest"));
                }
                return Ok((frame.bhs, frame.data));
            }
            self.input.reserve(READ_ROOM);
            // A TLS stream that ends without close_notify ends all the same.
            let read = match self.stream.read_buf(&mut self.input).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                read => read?,
            };
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// The status number that we wait for.
    pub(super) fn expected(&self) -> StatSn {
        self.expected
    }

    /// A PDU with this status number has come.
    pub(super) fn acknowledge(&mut self, stat_sn: StatSn) {
        self.expected = stat_sn.next();
    }

    pub(super) fn digests(&self) -> Digests {
        self.digests
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// The stream, and what came from it and was not taken.
    pub(super) fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.input)
    }
}
