//! Bytes that go on at the start where they end.

/// The log's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring<'a>(pub(super) &'a [u8]);

impl Ring<'_> {
    /// So many bytes from a place in the ring on; at most all of it.
    pub(super) fn copy(&self, at: usize, bytes: usize) -> Option<Vec<u8>> {
        (bytes <= self.0.len()).then_some(())?;
        let to_end = self.0.get(at..)?;
        let first = to_end.get(..bytes).unwrap_or(to_end);
        Some([first, self.0.get(..bytes - first.len())?].concat())
    }
}
