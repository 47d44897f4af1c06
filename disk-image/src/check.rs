//! What a reader never looks at and what yet tells of damage: second copies, counts, places that are used twice.
//!
//! Only what is certain is told. What a format allows, and what its programs are known to leave behind, is no flaw.

use std::path::Path;
use std::sync::Arc;

use crate::store::{Fault, ImageFile};

/// Units of a file that are told apart to find those that are used twice, at most: 64 MiB of memory. Of larger files this
/// one thing is not known.
const MAX_UNITS: u64 = 1 << 29;

/// Blocks that are held against each other to find those that share sectors, at most: 64 MiB of memory. In images of more
/// blocks this one thing is not known.
pub(crate) const MAX_BLOCKS: usize = 1 << 24;

/// Something in a file of a disk that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file.
    pub path: Arc<Path>,
    /// What is wrong, and what to do.
    pub what: String,
    /// Bytes of the disk, the first and the one behind the last, that may be wrong where this file gives them; `None`: reads
    /// do not use what is damaged.
    pub range: Option<(u64, u64)>,
}

/// Where flaws of one file are told.
pub(crate) struct Flaws<'a> {
    tell: &'a mut dyn FnMut(Flaw),
    is_wanted: &'a dyn Fn() -> bool,
}

impl<'a> Flaws<'a> {
    pub(crate) fn new(tell: &'a mut dyn FnMut(Flaw), is_wanted: &'a dyn Fn() -> bool) -> Flaws<'a> {
        Flaws { tell, is_wanted }
    }

    /// Whether anybody still wants to know.
    pub(crate) fn are_wanted(&self) -> bool {
        (self.is_wanted)()
    }

    /// Tells of one which reads do not meet.
    pub(crate) fn unused(&mut self, file: &dyn ImageFile, what: impl Into<String>) {
        self.tell(file, what.into(), None);
    }

    /// Tells of one by which these bytes of the disk may be wrong.
    pub(crate) fn data(
        &mut self,
        file: &dyn ImageFile,
        range: (u64, u64),
        what: impl Into<String>,
    ) {
        self.tell(file, what.into(), Some(range));
    }

    /// What cannot be read.
    pub(crate) fn unreadable(&mut self, file: &dyn ImageFile, part: &str, fault: &Fault) {
        let why = match fault {
            Fault::Damaged { damage, .. } => damage.to_string(),
            Fault::WouldBlock => "it is not in memory".to_owned(),
        };
        self.unused(file, format!("{part} cannot be read: {why}"));
    }

    fn tell(&mut self, file: &dyn ImageFile, what: String, range: Option<(u64, u64)>) {
        (self.tell)(Flaw {
            path: Arc::clone(file.path()),
            what,
            range,
        });
    }
}

/// Which units of a file are in use.
#[derive(Debug)]
pub(crate) struct Occupied {
    unit: u64,
    words: Vec<u64>,
}

impl Occupied {
    /// For a file of so many bytes; `None` if it has too many units.
    pub(crate) fn new(unit: u64, bytes: u64) -> Option<Occupied> {
        let units = bytes.div_ceil(unit);
        let words = usize::try_from(units.div_ceil(64)).ok()?;
        (units <= MAX_UNITS).then(|| Occupied {
            unit,
            words: vec![0; words],
        })
    }

    /// Takes the units of a range. Whether all of them were free. What lies beyond the file is nobody's.
    pub(crate) fn take(&mut self, at: u64, bytes: u64) -> bool {
        let first = at / self.unit;
        let last = at.saturating_add(bytes).div_ceil(self.unit);
        let mut were_free = true;
        for unit in first..last {
            let word = usize::try_from(unit / 64)
                .ok()
                .and_then(|word| self.words.get_mut(word));
            let Some(word) = word else { break };
            let bit = 1 << (unit % 64);
            were_free &= *word & bit == 0;
            *word |= bit;
        }
        were_free
    }
}

/// Of blocks of so many sectors, the first sectors of those that share some with another, in order.
pub(crate) fn sharing(mut starts: Vec<u32>, sectors: u64) -> Vec<u32> {
    starts.sort_unstable();
    let mut sharing = Vec::new();
    for pair in starts.windows(2) {
        if let [one, next] = pair
            && u64::from(next - one) < sectors
        {
            sharing.extend([*one, *next]);
        }
    }
    sharing.dedup();
    sharing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_used_twice() {
        let mut occupied = Occupied::new(512, 100_000).unwrap();
        assert!(occupied.take(0, 512));
        assert!(occupied.take(512, 2000), "units 1 to 4");
        assert!(!occupied.take(2559, 1), "unit 4 again");
        assert!(occupied.take(2560, 1));
        assert!(
            occupied.take(1 << 40, 512) && occupied.take(1 << 40, 512),
            "beyond the file"
        );
        assert!(Occupied::new(512, u64::MAX).is_none());

        assert_eq!(sharing(vec![30, 10, 20], 10), []);
        assert_eq!(sharing(vec![29, 10, 20, 50, 50], 10), [20, 29, 50]);
    }
}
