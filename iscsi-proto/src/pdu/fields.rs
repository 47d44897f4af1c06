//! Reading and writing header fields one after the other.

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u32};
use nom::{IResult, Parser};

use super::{BHS_LEN, Bhs, Malformed, Numbers, Opcode};
use crate::scsi::Lun;
use crate::types::{CmdSn, Itt, StatSn, Ttt};

/// What a field parser takes and gives.
pub(super) type Parsed<'a, T> = IResult<&'a [u8], T>;

/// Runs `body` on what follows the first byte, after the operation code has been checked.
pub(super) fn parse<'a, T>(
    bhs: &'a Bhs,
    opcode: Opcode,
    body: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
) -> Result<T, Malformed> {
    if Opcode::of(bhs) != Some(opcode) {
        return Err(Malformed);
    }
    let (_, rest) = bhs.split_first().ok_or(Malformed)?;
    body(rest).map(|(_, value)| value).map_err(|_| Malformed)
}

/// `N` bytes as they are.
pub(super) fn array<const N: usize>(input: &[u8]) -> Parsed<'_, [u8; N]> {
    let (rest, bytes) = take(N).parse(input)?;
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    Ok((rest, array))
}

/// Passes over reserved bytes.
pub(super) fn skip<'a>(count: usize) -> impl FnMut(&'a [u8]) -> Parsed<'a, ()> {
    move |input| take(count).map(drop).parse(input)
}

pub(super) fn flags(input: &[u8]) -> Parsed<'_, u8> {
    be_u8(input)
}

pub(super) fn lun(input: &[u8]) -> Parsed<'_, Lun> {
    array::<8>.map(Lun::from_bytes).parse(input)
}

pub(super) fn itt(input: &[u8]) -> Parsed<'_, Itt> {
    be_u32.map(Itt).parse(input)
}

pub(super) fn ttt(input: &[u8]) -> Parsed<'_, Ttt> {
    be_u32.map(Ttt).parse(input)
}

pub(super) fn cmd_sn(input: &[u8]) -> Parsed<'_, CmdSn> {
    be_u32.map(CmdSn).parse(input)
}

pub(super) fn stat_sn(input: &[u8]) -> Parsed<'_, StatSn> {
    be_u32.map(StatSn).parse(input)
}

pub(super) fn numbers(input: &[u8]) -> Parsed<'_, Numbers> {
    (stat_sn, cmd_sn, cmd_sn)
        .map(|(stat_sn, exp_cmd_sn, max_cmd_sn)| Numbers {
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
        })
        .parse(input)
}

/// A header being written from its first byte to its last.
pub(super) struct Writer {
    bhs: Bhs,
    at: usize,
}

impl Writer {
    /// Begins with the operation code. The immediate bit is for requests only.
    pub(super) fn new(opcode: Opcode, immediate: bool) -> Self {
        let writer = Self {
            bhs: [0; BHS_LEN],
            at: 0,
        };
        writer.u8(opcode as u8 | if immediate { 0x40 } else { 0 })
    }

    /// Appends bytes. What does not fit is left out; the byte vectors would show it.
    pub(super) fn put(mut self, bytes: &[u8]) -> Self {
        let end = self.at + bytes.len();
        if let Some(place) = self.bhs.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
        }
        self.at = end;
        self
    }

    /// Leaves bytes zero.
    pub(super) fn zeros(mut self, count: usize) -> Self {
        self.at += count;
        self
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.put(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.put(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.put(&value.to_be_bytes())
    }

    pub(super) fn numbers(self, numbers: Numbers) -> Self {
        self.u32(numbers.stat_sn.0)
            .u32(numbers.exp_cmd_sn.0)
            .u32(numbers.max_cmd_sn.0)
    }

    pub(super) fn done(self) -> Bhs {
        self.bhs
    }
}

/// `mask` if `set`.
pub(super) fn bit(mask: u8, set: bool) -> u8 {
    if set { mask } else { 0 }
}

/// Test vectors are written as hexadecimal words, one line for 16 bytes.
#[cfg(test)]
pub(super) fn vector(text: &str) -> Bhs {
    let digits: String = text.split_whitespace().collect();
    assert_eq!(digits.len(), 96);
    std::array::from_fn(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
}
