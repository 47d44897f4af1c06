//! Buffers that reads are made into, used again and again by one connection.
//!
//! A buffer becomes the [`Bytes`] of a Data-In PDU without a copy, and comes back when the PDU has left. Nothing is shared
//! between connections, so the lock is never waited for by another connection.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memmap2::MmapMut;

use super::limits::{READ_BYTES, SPARE_BUFFER_BYTES};

/// Bytes in the buffers of each class. A 4 KiB read must not hold a quarter of a MiB.
const CLASSES: [usize; 5] = [4 * 1024, 16 * 1024, 64 * 1024, 128 * 1024, READ_BYTES];

/// Bytes from which on a buffer is the system's and not the allocator's: the classes of large reads.
const MAPPED_FROM: usize = 128 * 1024;

/// One connection's spare buffers.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(Arc<Mutex<Spare>>);

#[derive(Debug, Default)]
struct Spare {
    by_class: [Vec<Room>; CLASSES.len()],
    bytes: usize,
}

/// Memory of a buffer.
#[derive(Debug)]
enum Room {
    Heap(Vec<u8>),
    /// Straight from the system and straight back to it. An allocator would keep it in pieces between what other connections hold.
    Mapped(MmapMut),
}

/// A buffer in use, `len` bytes long.
#[derive(Debug)]
pub(super) struct Buffer {
    home: Buffers,
    room: Room,
    len: usize,
}

impl Buffers {
    /// A buffer of `len` bytes. It may hold what an earlier read of the same connection left, so whoever takes it fills it.
    pub(super) fn take(&self, len: usize) -> Buffer {
        let class = CLASSES.iter().position(|size| len <= *size);
        let spare = class.and_then(|class| {
            let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = spare.by_class.get_mut(class)?.pop()?;
            spare.bytes = spare.bytes.saturating_sub(room.len());
            Some(room)
        });
        let size = class.and_then(|class| CLASSES.get(class).copied());
        Buffer {
            home: self.clone(),
            room: spare.unwrap_or_else(|| Room::new(size.unwrap_or(len))),
            len,
        }
    }

    /// Lets go of spare buffers, the largest first, until no more than `bytes` are left.
    pub(super) fn trim(&self, bytes: usize) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Spare {
            by_class,
            bytes: left,
        } = &mut *spare;
        for buffers in by_class.iter_mut().rev() {
            while *left > bytes
                && let Some(buffer) = buffers.pop()
            {
                *left = left.saturating_sub(buffer.len());
            }
            if buffers.is_empty() {
                buffers.shrink_to_fit();
            }
        }
    }

    fn give_back(&self, room: Room) {
        let Some(class) = CLASSES.iter().position(|size| room.len() == *size) else {
            return;
        };
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.bytes + room.len() <= SPARE_BUFFER_BYTES {
            spare.bytes += room.len();
            if let Some(buffers) = spare.by_class.get_mut(class) {
                buffers.push(room);
            }
        }
    }
}

impl Room {
    /// Zeroed.
    fn new(len: usize) -> Self {
        if len >= MAPPED_FROM
            && let Ok(map) = MmapMut::map_anon(len)
        {
            return Self::Mapped(map);
        }
        Self::Heap(vec![0; len])
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl Buffer {
    /// The bytes to fill.
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.room
            .bytes_mut()
            .get_mut(..self.len)
            .unwrap_or_default()
    }

    /// Filled: shared from now on.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.room.bytes().get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.give_back(mem::take(&mut self.room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(buffers: &Buffers) -> usize {
        buffers.0.lock().unwrap().bytes
    }

    #[test]
    fn a_buffer_comes_back_when_its_last_bytes_have_left() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(4096);
        buffer.as_mut_slice().fill(7);
        let bytes = buffer.freeze();
        let half = bytes.slice(2048..);
        drop(bytes);
        assert_eq!(spare(&buffers), 0);
        assert_eq!(half, [7; 2048].as_slice());
        drop(half);
        assert_eq!(spare(&buffers), 4 * 1024);
        let again = buffers.take(512);
        assert_eq!(spare(&buffers), 0);
        assert_eq!(again.as_ref().len(), 512);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let held: Vec<_> = (0..100).map(|_| buffers.take(READ_BYTES)).collect();
        drop(held);
        assert_eq!(spare(&buffers), SPARE_BUFFER_BYTES);
        buffers.trim(READ_BYTES + 1);
        assert_eq!(spare(&buffers), READ_BYTES);
        buffers.trim(0);
        assert_eq!(spare(&buffers), 0);
        drop(buffers.take(READ_BYTES + 1));
        assert_eq!(spare(&buffers), 0);
    }
}
