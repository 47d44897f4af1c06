//! Reads in a pipeline whose data is shown piece by piece and let go: for loads that would drown in buffers.
//!
//! A piece is what the stream gave at one time; it is neither gathered nor copied. Without reads, the pipeline holds a
//! session and answers the target's NOP-Ins.

mod answers;
mod input;
#[cfg(test)]
mod tests;

use std::io;

use bytes::{Buf as _, BytesMut};
use iscsi_proto::pdu::{LogoutReason, LogoutRequest, Numbers, ScsiCommand};
use iscsi_proto::scsi::Lun;
use iscsi_proto::{Cid, CmdSn, Digests, Itt, StatSn};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use self::input::Input;
use super::commands::{Sense, read_16};
use super::{Initiator, InitiatorError};

/// Reads outstanding at most: more than targets take.
pub const MAX_DEPTH: usize = 1 << SLOT_BITS;

/// Bits of an ITT that name the slot; those above count, so that an answer that comes twice is not taken for another.
const SLOT_BITS: u32 = 8;

/// A session whose reads go to nobody but whoever looks at [`Pipeline::poll_event`].
#[derive(Debug)]
pub struct Pipeline<S> {
    stream: S,
    input: Input,
    output: BytesMut,
    /// One for each read that may be outstanding.
    slots: Vec<Option<Read>>,
    /// The Data-In that is coming in.
    segment: Option<Segment>,
    submitted: u32,
    cmd_sn: CmdSn,
    max_cmd_sn: CmdSn,
    exp_stat_sn: StatSn,
}

/// An outstanding read.
#[derive(Clone, Copy, Debug)]
struct Read {
    itt: Itt,
    expected: u32,
    received: u32,
}

/// What is still to come of a Data-In.
#[derive(Clone, Copy, Debug)]
struct Segment {
    slot: usize,
    offset: u32,
    left: usize,
    padding: usize,
    /// The read's status, if this is its end.
    status: Option<u8>,
}

/// Something happened in a [`Pipeline`].
#[derive(Debug, PartialEq, Eq)]
pub enum PipelineEvent<'a> {
    /// Bytes of the read in `slot`, `offset` bytes from its start. Pieces of a read come in order and without gaps.
    Data {
        /// The read.
        slot: usize,
        /// Bytes from the start of the read.
        offset: u32,
        /// The piece.
        bytes: &'a [u8],
    },
    /// The read in `slot` has ended, and the slot may be given to another.
    Ended {
        /// The read.
        slot: usize,
        /// SCSI status: 0 is GOOD.
        status: u8,
        /// Sense data of a CHECK CONDITION.
        sense: Option<Sense>,
        /// Whether every byte asked for came.
        whole: bool,
    },
    /// The target did not take the read in `slot`; the slot may be given to another.
    Rejected {
        /// The read.
        slot: usize,
        /// Why (RFC 7143 §11.17.1).
        reason: u8,
    },
    /// The target wants us to log out, or drops the session.
    AskedToLogOut,
    /// The target has logged us out.
    LoggedOut,
}

impl<S> Pipeline<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Goes on with the session of an initiator that waits for no answer and uses no digests. `depth`: reads outstanding at most;
    /// [`MAX_DEPTH`] is the most.
    ///
    /// # Errors
    /// The initiator waits for an answer or uses digests.
    pub fn new(initiator: Initiator<S>, depth: usize) -> Result<Self, InitiatorError> {
        if !initiator.tasks.is_empty() || initiator.wire.digests() != Digests::default() {
            return Err(InitiatorError::Protocol("digests that nobody asked for"));
        }
        let numbers = Numbers {
            stat_sn: initiator.wire.expected(),
            exp_cmd_sn: initiator.cmd_sn,
            max_cmd_sn: initiator.max_cmd_sn,
        };
        let (stream, early) = initiator.wire.into_parts();
        Ok(Self::begin(stream, &early, depth, numbers))
    }

    fn begin(stream: S, early: &[u8], depth: usize, numbers: Numbers) -> Self {
        Self {
            stream,
            input: Input::new(early),
            output: BytesMut::new(),
            slots: vec![None; depth.min(MAX_DEPTH)],
            segment: None,
            submitted: 0,
            cmd_sn: numbers.exp_cmd_sn,
            max_cmd_sn: numbers.max_cmd_sn,
            exp_stat_sn: numbers.stat_sn,
        }
    }

    /// Where the next read may be submitted. `None`: as many as may be are outstanding, or the target takes no more.
    pub fn free_slot(&self) -> Option<usize> {
        if self.cmd_sn.ahead_of(self.max_cmd_sn) > 0 {
            return None;
        }
        self.slots.iter().position(Option::is_none)
    }

    /// Queues a READ (16) of `blocks` blocks, `bytes` bytes in all, for the next [`Pipeline::exchange`]. `slot` is
    /// [`Pipeline::free_slot`]'s.
    pub fn submit(&mut self, slot: usize, lun: Lun, lba: u64, blocks: u32, bytes: u32) {
        let number = u32::try_from(slot).unwrap_or_default();
        let itt = Itt(self.submitted << SLOT_BITS | number);
        if let Some(free) = self.slots.get_mut(slot) {
            *free = Some(Read {
                itt,
                expected: bytes,
                received: 0,
            });
        }
        let command = ScsiCommand {
            immediate: false,
            last: true,
            read: true,
            write: false,
            attribute: 1,
            lun,
            itt,
            expected_len: bytes,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
            cdb: read_16(lba, blocks),
        };
        self.output.extend_from_slice(&command.encode());
        // The highest number of 24 bits would make the reserved tag.
        self.submitted = (self.submitted + 1) % ((1 << (32 - SLOT_BITS)) - 1);
        self.cmd_sn = self.cmd_sn.plus(1);
    }

    /// Reads that have not ended.
    pub fn outstanding(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Sends what is queued and waits for more input. May be dropped and called again. First look at every event: this makes
    /// room by moving the rest of the input, which is less than a PDU.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn exchange(&mut self) -> Result<(), InitiatorError> {
        while self.output.has_remaining() {
            self.stream.write_buf(&mut self.output).await?;
        }
        self.stream.flush().await?;
        // A TLS stream that ends without close_notify ends all the same.
        let read = match self.stream.read(self.input.room()).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        self.input.came(read);
        match read {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// The next event of the input that is there. `None`: there is no whole one.
    ///
    /// # Errors
    /// The target breaks the protocol or rejects something that is no outstanding read.
    pub fn poll_event(&mut self) -> Result<Option<PipelineEvent<'_>>, InitiatorError> {
        loop {
            let there = self.input.len();
            match self.segment {
                Some(segment) if segment.left > 0 => {
                    return Ok((there > 0).then(|| self.data(segment)));
                }
                Some(segment) => {
                    if there < segment.padding {
                        return Ok(None);
                    }
                    self.input.take(segment.padding);
                    self.segment = None;
                    if let Some(status) = segment.status {
                        return self.ended(segment.slot, status, None).map(Some);
                    }
                }
                None => {
                    let Some(bhs) = self.input.header()? else {
                        return Ok(None);
                    };
                    if let Some(event) = self.pdu(&bhs)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Logs out, looking at nothing that still comes, and closes the connection.
    ///
    /// # Errors
    /// The connection is lost before the answer, or the target breaks the protocol.
    pub async fn log_out(mut self) -> Result<(), InitiatorError> {
        let request = LogoutRequest {
            immediate: true,
            reason: LogoutReason::CloseSession,
            itt: Itt(0xffff_fffe),
            cid: Cid(0),
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
        };
        self.output.extend_from_slice(&request.encode());
        loop {
            while let Some(event) = self.poll_event()? {
                if event == PipelineEvent::LoggedOut {
                    return Ok(self.stream.shutdown().await?);
                }
            }
            self.exchange().await?;
        }
    }

    /// A piece of the Data-In that is coming in.
    fn data(&mut self, segment: Segment) -> PipelineEvent<'_> {
        let taken = segment.left.min(self.input.len());
        self.segment = Some(Segment {
            left: segment.left - taken,
            offset: segment.offset + u32::try_from(taken).unwrap_or_default(),
            ..segment
        });
        PipelineEvent::Data {
            slot: segment.slot,
            offset: segment.offset,
            bytes: self.input.take(taken),
        }
    }
}
