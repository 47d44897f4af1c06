//! One read on its way down a chain.
//!
//! Of each image it is kept until where it is known to have nothing of its own, and it is not asked again before that. So a
//! read costs as many look-ups as all images together have runs in its range, and not the chain's
//! length for each piece of it.

use crate::disk::{Found, Wait, shorter};
use crate::error::ReadError;
use crate::image::Image;
use crate::store::Fault;

/// Images asked in a read that must not wait. One that needs more is left to a thread that may spend the time: where each
/// sector comes from another image of a long chain, finding them takes milliseconds though all tables are in memory.
const MAX_STEPS_IN_MEMORY: usize = 512;

/// Images in a chain for which a read needs no memory from the heap: most have fewer.
const SHORT_CHAIN: usize = 16;

/// Fills `buf` with the bytes at `offset` of the disk whose images these are, the upper first.
pub(crate) fn read(
    layers: &[Image],
    offset: u64,
    buf: &mut [u8],
    wait: Wait,
) -> Result<(), ReadError> {
    if let [only] = layers {
        return read_one(only, offset, buf, wait);
    }
    let mut short = [0; SHORT_CHAIN];
    let mut long = Vec::new();
    let below_until = match short.get_mut(..layers.len()) {
        Some(short) => short,
        None => {
            long.resize(layers.len(), 0);
            &mut long
        }
    };
    let mut descent = Descent {
        layers,
        wait,
        below_until,
        depth: 0,
        clear_until: 0,
        steps: 0,
    };
    let mut at = offset;
    let mut rest = buf;
    while !rest.is_empty() {
        let filled = descent.fill_some(at, rest)?;
        at += filled as u64;
        rest = rest.get_mut(filled..).unwrap_or_default();
    }
    Ok(())
}

/// The same for a disk of one image, the common one: nothing is to be remembered, and zeros are below.
fn read_one(image: &Image, offset: u64, buf: &mut [u8], wait: Wait) -> Result<(), ReadError> {
    let (mut at, mut rest, mut steps) = (offset, buf, 0);
    while !rest.is_empty() {
        steps += 1;
        if wait == Wait::Never && steps > MAX_STEPS_IN_MEMORY {
            return Err(ReadError::WouldBlock);
        }
        let filled = match image.read_some(at, rest, rest.len() as u64, wait) {
            Ok(Found::Filled(count)) => count,
            Ok(Found::Below(count)) => {
                let part = rest.get_mut(..shorter(rest.len(), count));
                let part = part.unwrap_or_default();
                part.fill(0);
                part.len()
            }
            Err(fault) => return Err(explain(at, fault)),
        };
        at += filled as u64;
        rest = rest.get_mut(filled..).unwrap_or_default();
    }
    Ok(())
}

struct Descent<'a> {
    layers: &'a [Image],
    wait: Wait,
    /// For each image, the first byte that it may have something of: from where it was asked up to
    /// there it has nothing.
    below_until: &'a mut [u64],
    /// Where the last piece came from, and until where nothing above that has anything.
    depth: usize,
    clear_until: u64,
    steps: usize,
}

impl Descent<'_> {
    /// Fills the start of `buf`, which is not empty, from the first image that has it. Goes down
    /// the chain by a loop: its length costs no stack.
    fn fill_some(&mut self, at: u64, buf: &mut [u8]) -> Result<usize, ReadError> {
        let end = at.saturating_add(buf.len() as u64);
        let (mut depth, mut until) = match self.clear_until > at {
            true => (self.depth, self.clear_until.min(end)),
            false => (0, end),
        };
        let filled = loop {
            let part = buf.get_mut(..shorter(buf.len(), until - at));
            let part = part.unwrap_or_default();
            let (Some(image), Some(known)) =
                (self.layers.get(depth), self.below_until.get_mut(depth))
            else {
                part.fill(0);
                break part.len();
            };
            if *known <= at {
                self.steps += 1;
                if self.wait == Wait::Never && self.steps > MAX_STEPS_IN_MEMORY {
                    return Err(ReadError::WouldBlock);
                }
                match image.read_some(at, part, end - at, self.wait) {
                    Ok(Found::Filled(count)) => break count,
                    Ok(Found::Below(count)) => *known = at.saturating_add(count),
                    Err(fault) => return Err(explain(at, fault)),
                }
            }
            until = until.min(*known);
            depth += 1;
        };
        (self.depth, self.clear_until) = (depth, until);
        Ok(filled)
    }
}

/// Says of the disk what `fault` says of one of its files.
fn explain(offset: u64, fault: Fault) -> ReadError {
    match fault {
        Fault::WouldBlock => ReadError::WouldBlock,
        Fault::Damaged { good, path, damage } => ReadError::Damaged {
            offset: offset.saturating_add(good as u64),
            path,
            damage,
        },
    }
}
