//! The SCSI commands that the demo and the tests send, and how their answers are read.

use std::fmt;

use bytes::Bytes;
use iscsi_proto::scsi::Lun;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Initiator, InitiatorError};

/// Bytes of one READ in [`Initiator::read_all`].
const CHUNK: u32 = 512 * 1024;

/// READs outstanding in [`Initiator::read_all`].
const DEPTH: usize = 8;

/// Bytes of the largest answer to REPORT LUNS: 256 LUNs and the header.
const LUN_LIST: u32 = 8 + 256 * 8;

/// What READ CAPACITY (16) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Blocks in all.
    pub blocks: u64,
    /// Bytes in a block.
    pub block_size: u32,
}

/// Fixed format sense data (SPC-4 §4.5.3), or the same facts of the descriptor format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// Sense key.
    pub key: u8,
    /// Additional sense code.
    pub asc: u8,
    /// Additional sense code qualifier.
    pub ascq: u8,
    /// The information field, if it is valid: the LBA of a medium error.
    pub information: Option<u64>,
}

impl Sense {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let at = |index: usize| bytes.get(index).copied();
        match at(0)? & 0x7F {
            0x70 => Some(Self {
                key: at(2)? & 0x0F,
                asc: at(12)?,
                ascq: at(13)?,
                information: (at(0)? & 0x80 != 0)
                    .then(|| bytes.get(3..7))
                    .flatten()
                    .map(big_endian),
            }),
            0x72 => Some(Self {
                key: at(1)? & 0x0F,
                asc: at(2)?,
                ascq: at(3)?,
                // The information descriptor has type 00h and length 0Ah.
                information: (bytes.get(8..10) == Some(&[0x00, 0x0A]))
                    .then(|| bytes.get(12..20))
                    .flatten()
                    .map(big_endian),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sense {:x}h/{:02x}h/{:02x}h",
            self.key, self.asc, self.ascq
        )?;
        match self.information {
            Some(lba) => write!(f, " at block {lba}"),
            None => Ok(()),
        }
    }
}

impl<S> Initiator<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Sends one command and waits for its answer. UNIT ATTENTION, which tells of something past, is answered by another try.
    ///
    /// # Errors
    /// As [`Initiator::next_answer`]; a status other than GOOD is [`InitiatorError::Status`].
    pub async fn command(
        &mut self,
        lun: Lun,
        cdb: [u8; 16],
        expected: u32,
    ) -> Result<Bytes, InitiatorError> {
        loop {
            let itt = self.submit(lun, cdb, expected).await?;
            let answer = self.next_answer().await?;
            if answer.itt != itt {
                return Err(InitiatorError::Protocol("the answer to another command"));
            }
            if !is_unit_attention(&answer) {
                return good(answer);
            }
        }
    }

    /// REPORT LUNS (SPC-4 §6.33).
    ///
    /// # Errors
    /// As [`Initiator::command`].
    pub async fn luns(&mut self) -> Result<Vec<Lun>, InitiatorError> {
        let [a, b, c, d] = LUN_LIST.to_be_bytes();
        let cdb = [0xA0, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0];
        let list = self.command(Lun::peripheral(0), cdb, LUN_LIST).await?;
        let entries = list.get(8..).unwrap_or_default();
        Ok(entries
            .as_chunks::<8>()
            .0
            .iter()
            .map(|entry| Lun::from_bytes(*entry))
            .collect())
    }

    /// READ CAPACITY (16) (SBC-3 §5.16).
    ///
    /// # Errors
    /// As [`Initiator::command`].
    pub async fn capacity(&mut self, lun: Lun) -> Result<Capacity, InitiatorError> {
        let cdb = [0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0];
        let data = self.command(lun, cdb, 32).await?;
        let (Some(last), Some(block_size)) = (data.get(..8), data.get(8..12)) else {
            return Err(InitiatorError::Protocol("a short answer to READ CAPACITY"));
        };
        let short = InitiatorError::Protocol("a disk that has no size");
        Ok(Capacity {
            blocks: big_endian(last).checked_add(1).ok_or(short)?,
            block_size: u32::try_from(big_endian(block_size)).unwrap_or_default(),
        })
    }

    /// READ (16) (SBC-3 §5.14) of `blocks` blocks, `bytes` bytes in all.
    ///
    /// # Errors
    /// As [`Initiator::command`].
    pub async fn read(
        &mut self,
        lun: Lun,
        lba: u64,
        blocks: u32,
        bytes: u32,
    ) -> Result<Bytes, InitiatorError> {
        self.command(lun, read_16(lba, blocks), bytes).await
    }

    /// Reads a whole disk, several READs at a time, and hands each piece to `piece` in order.
    ///
    /// # Errors
    /// As [`Initiator::command`].
    pub async fn read_all(
        &mut self,
        lun: Lun,
        capacity: Capacity,
        mut piece: impl FnMut(&[u8]),
    ) -> Result<(), InitiatorError> {
        let step = (CHUNK / capacity.block_size.max(1)).max(1);
        let mut next = 0;
        let mut order = std::collections::VecDeque::new();
        let mut early = std::collections::HashMap::new();
        loop {
            while next < capacity.blocks && order.len() < DEPTH && self.may_submit() {
                let left = capacity.blocks - next;
                let blocks = u32::try_from(left).map_or(step, |left| left.min(step));
                let bytes = blocks * capacity.block_size;
                let itt = self.submit(lun, read_16(next, blocks), bytes).await?;
                order.push_back((itt, bytes));
                next += u64::from(blocks);
            }
            let Some((first, bytes)) = order.front().copied() else {
                return Ok(());
            };
            if let Some(data) = early.remove(&first) {
                piece(&full(data, bytes)?);
                order.pop_front();
                continue;
            }
            let answer = self.next_answer().await?;
            early.insert(answer.itt, good(answer)?);
        }
    }
}

fn is_unit_attention(answer: &Answer) -> bool {
    answer.sense.is_some_and(|sense| sense.key == 0x06)
}

fn good(answer: Answer) -> Result<Bytes, InitiatorError> {
    match answer.status {
        0 => Ok(answer.data),
        status => Err(InitiatorError::Status {
            status,
            sense: answer.sense,
        }),
    }
}

fn full(data: Bytes, bytes: u32) -> Result<Bytes, InitiatorError> {
    if data.len() == bytes as usize {
        Ok(data)
    } else {
        Err(InitiatorError::Protocol("a READ that gives too little"))
    }
}

pub(super) fn read_16(lba: u64, blocks: u32) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = lba.to_be_bytes();
    let [w, x, y, z] = blocks.to_be_bytes();
    [0x88, 0, a, b, c, d, e, f, g, h, w, x, y, z, 0, 0]
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sense_in_both_formats() {
        let fixed = [
            0xF0, 0, 3, 0, 0, 0x12, 0x34, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0,
        ];
        let descriptor = [
            0x72, 3, 0x11, 0, 0, 0, 0, 12, 0, 0x0A, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34,
        ];
        let sense = Sense {
            key: 3,
            asc: 0x11,
            ascq: 0,
            information: Some(0x1234),
        };
        assert_eq!(Sense::parse(&fixed), Some(sense));
        assert_eq!(Sense::parse(&descriptor), Some(sense));
        assert_eq!(Sense::parse(&[0x70; 13]), None);
        assert_eq!(sense.to_string(), "sense 3h/11h/00h at block 4660");
    }

    #[test]
    fn a_read_of_sixteen_bytes() {
        assert_eq!(
            read_16(0x0102_0304_0506_0708, 0x0A0B_0C0D),
            [
                0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0A, 0x0B, 0x0C, 0x0D, 0, 0
            ]
        );
    }
}
