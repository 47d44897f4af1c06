//! Where each blob of a file lies in it, by the lengths that the index has and by the file's own.
//!
//! A blob that no index knows has no length, and all that is behind it would have no place. So the length of the file, which
//! the folder tells, has to say what is missing: of one blob exactly, also where it is there several times; of several, all from the
//! first to the last of them is given up, and what is before and behind is where it was.

use std::ops::Range;

use super::id::Id;
use super::repository::MAX_DATA_BLOB;

/// What a folder says of a file's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ToldLength {
    pub(super) bytes: u64,
    /// Whether these are the bytes that were backed up, as restic counts them, and not those that the file had when rustic
    /// looked at it first: it may have grown meanwhile.
    pub(super) is_of_content: bool,
}

/// The places of a file's blobs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Where each blob ends.
    ends: Vec<u64>,
    /// Blobs whose places are not known; the last of them ends where it does, and the others have none.
    lost: Range<usize>,
}

/// What of a file is not known.
#[derive(Debug, Default)]
struct Unknown {
    first: usize,
    last: usize,
    count: u64,
    /// It is one blob, there several times.
    is_one: bool,
}

impl Places {
    /// # Errors
    /// A blob that has no length, and that leaves the file without one.
    pub(super) fn new(
        blobs: &[Id],
        told: ToldLength,
        length_of: impl Fn(&Id) -> Option<u32>,
    ) -> Result<Places, Id> {
        let mut places = Places {
            ends: Vec::with_capacity(blobs.len()),
            lost: 0..0,
        };
        let mut unknown = Unknown::default();
        let mut end = 0_u64;
        let mut missing = None;
        for (number, id) in blobs.iter().enumerate() {
            match length_of(id) {
                Some(bytes) => end = end.saturating_add(bytes.into()),
                None => {
                    let first = *missing.get_or_insert(*id);
                    unknown = Unknown {
                        first: if unknown.count == 0 {
                            number
                        } else {
                            unknown.first
                        },
                        last: number,
                        count: unknown.count + 1,
                        is_one: (unknown.count == 0 || unknown.is_one) && first == *id,
                    };
                }
            }
            places.ends.push(end);
        }
        match missing {
            None => Ok(places),
            Some(missing) => places.without(&unknown, told, blobs, missing),
        }
    }

    /// Makes room for what has no length.
    fn without(
        mut self,
        unknown: &Unknown,
        told: ToldLength,
        blobs: &[Id],
        missing: Id,
    ) -> Result<Places, Id> {
        let Unknown {
            first,
            last,
            count,
            is_one,
        } = *unknown;
        let begin = self.begin(first);
        if !told.is_of_content {
            if told.bytes <= begin {
                return Err(missing);
            }
            self.ends.truncate(first);
            self.ends.push(told.bytes);
            self.lost = first..first + 1;
            return Ok(self);
        }
        let known = self.size();
        let rest = told.bytes.checked_sub(known).filter(|rest| *rest >= count);
        let rest = rest.ok_or(missing)?;
        if is_one && rest.is_multiple_of(count) && rest / count <= u64::from(MAX_DATA_BLOB) {
            let mut before = 0;
            for (end, id) in self.ends.iter_mut().zip(blobs) {
                before += if *id == missing { rest / count } else { 0 };
                *end += before;
            }
            return Ok(self);
        }
        for (number, end) in self.ends.iter_mut().enumerate().skip(first) {
            *end = if number < last { begin } else { *end + rest };
        }
        self.lost = first..last + 1;
        Ok(self)
    }

    /// Bytes in the file.
    pub(super) fn size(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Which of the blobs a byte lies in.
    pub(super) fn number_at(&self, at: u64) -> usize {
        self.ends.partition_point(|end| *end <= at)
    }

    /// Where a blob begins and ends; `None` behind the last.
    pub(super) fn of(&self, number: usize) -> Option<(u64, u64)> {
        let end = *self.ends.get(number)?;
        Some((self.begin(number), end))
    }

    /// The first of the blobs whose places are not known, if this is one of them.
    pub(super) fn first_lost(&self, number: usize) -> Option<usize> {
        self.lost.contains(&number).then_some(self.lost.start)
    }

    fn begin(&self, number: usize) -> u64 {
        let before = number
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        before.copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(letter: char) -> Id {
        Id::of(&[letter as u8])
    }

    /// Of the blobs `a` and `b` the lengths are known, 100 and 10 bytes.
    fn places(blobs: &str, bytes: u64, is_of_content: bool) -> Option<Places> {
        let blobs: Vec<Id> = blobs.chars().map(id).collect();
        let lengths = [(id('a'), 100), (id('b'), 10)];
        let length_of = |id: &Id| {
            lengths
                .iter()
                .find(|(known, _)| known == id)
                .map(|(_, n)| *n)
        };
        let told = ToldLength {
            bytes,
            is_of_content,
        };
        Places::new(&blobs, told, length_of).ok()
    }

    fn known(ends: &[u64], lost: Range<usize>) -> Option<Places> {
        let ends = ends.to_vec();
        Some(Places { ends, lost })
    }

    #[test]
    fn all_are_known() {
        assert_eq!(places("", 0, true), known(&[], 0..0));
        // What the folder says does not matter: rustic may tell 0 of what came from a pipe.
        for told in [0, 210, 1000] {
            assert_eq!(places("aba", told, true), known(&[100, 110, 210], 0..0));
        }
        let places = places("aba", 210, true).unwrap();
        assert_eq!(
            (places.size(), places.number_at(99), places.number_at(100)),
            (210, 0, 1)
        );
        assert_eq!((places.number_at(209), places.number_at(210)), (2, 3));
        assert_eq!(
            (places.of(1), places.of(2), places.of(3)),
            (Some((100, 110)), Some((110, 210)), None)
        );
        assert_eq!(places.first_lost(0), None);
    }

    #[test]
    fn one_is_unknown_and_the_file_tells_its_length() {
        assert_eq!(places("axb", 117, true), known(&[100, 107, 117], 0..0));
        assert_eq!(places("xaxb", 124, true), known(&[7, 107, 114, 124], 0..0));
        assert_eq!(places("x", 5, true), known(&[5], 0..0));
    }

    #[test]
    fn several_are_unknown_and_what_is_around_them_has_its_place() {
        let places_of = places("axbya", 230, true);
        assert_eq!(places_of, known(&[100, 100, 100, 130, 230], 1..4));
        let places_of = places_of.unwrap();
        let at = |at| {
            (
                places_of.number_at(at),
                places_of.first_lost(places_of.number_at(at)),
            )
        };
        assert_eq!(
            [at(99), at(100), at(129), at(130)],
            [(0, None), (3, Some(1)), (3, Some(1)), (4, None)]
        );
        assert_eq!(places_of.of(3), Some((100, 130)));
        // The one that is there twice cannot have half a byte more than a whole number.
        assert_eq!(places("xax", 103, true), known(&[0, 0, 103], 0..3));
        assert_eq!(places("xy", 9, true), known(&[0, 9], 0..2));
    }

    #[test]
    fn a_length_that_is_not_of_the_content_places_nothing_behind_the_gap() {
        assert_eq!(places("axb", 117, false), known(&[100, 117], 1..2));
        assert_eq!(places("axb", 100, false), None);
        assert_eq!(places("axb", 0, false), None);
    }

    #[test]
    fn no_length_can_be_known() {
        for told in [0, 109, 110] {
            assert_eq!(places("axb", told, true), None, "{told}");
        }
        assert_eq!(places("axyb", 111, true), None);
    }
}
