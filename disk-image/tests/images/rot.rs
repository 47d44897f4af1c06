//! Bit rot without gaps: each byte of a kind is changed in turn, and the whole disk is read and checked.
//!
//! What may come of it: right data, an error, or wrong data of which `Disk::check` tells. Where a format has nothing that
//! could tell, wrong data is served; those fields are listed in each test and in the README.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use disk_image::{Disk, Flaw, ReadError, Wait};

use crate::source::Source;

/// What comes of one changed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// All data is right, and nothing is told.
    Right,
    /// All data is right, and the check tells of the damage.
    RightAndTold,
    /// The disk does not open.
    Refused,
    /// Some of it cannot be read; the rest is right.
    Unreadable,
    /// Some data is wrong, and the check tells.
    WrongAndTold,
    /// Some data is wrong, and nobody knows.
    Wrong,
}

/// Every bit by itself.
pub(crate) const BITS: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// A bit, and all of them.
pub(crate) const SOME: [u8; 2] = [4, 0xff];

/// A disk, and the file of it that rots.
pub(crate) struct Rot<'a> {
    pub(crate) source: &'a Source,
    pub(crate) disk: &'a str,
    pub(crate) file: &'a str,
    pub(crate) expected: &'a [u8],
}

/// Fields by what came of changing them.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(BTreeMap<Outcome, BTreeSet<String>>);

impl Outcomes {
    /// The fields of which a change had this outcome at least once.
    pub(crate) fn of(&self, outcome: Outcome) -> Vec<&str> {
        let fields = self.0.get(&outcome).into_iter().flatten();
        fields.map(String::as_str).collect()
    }
}

impl Rot<'_> {
    /// Changes bytes in turn, in each of these ways. `field` names what stands at a place.
    pub(crate) fn at(
        &self,
        places: impl IntoIterator<Item = usize>,
        ways: &[u8],
        field: impl Fn(usize) -> &'static str,
    ) -> Outcomes {
        let path = self.source.file(self.file);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        assert_eq!(self.outcome(), Outcome::Right, "before anything is changed");
        let mut outcomes = Outcomes::default();
        for place in places {
            let good = byte(&file, place);
            for way in ways {
                file.write_all_at(&[good ^ way], place as u64).unwrap();
                let fields = outcomes.0.entry(self.outcome()).or_default();
                fields.insert(field(place).to_owned());
            }
            file.write_all_at(&[good], place as u64).unwrap();
        }
        println!("{} of {}: {outcomes:#?}", self.file, self.disk);
        outcomes
    }

    fn outcome(&self) -> Outcome {
        let Ok(disk) = self.source.open(self.disk) else {
            return Outcome::Refused;
        };
        let is_told = !flaws(&disk).is_empty();
        match (self.read(&disk), is_told) {
            (Read::Right, false) => Outcome::Right,
            (Read::Right, true) => Outcome::RightAndTold,
            (Read::Unreadable, _) => Outcome::Unreadable,
            (Read::Wrong, true) => Outcome::WrongAndTold,
            (Read::Wrong, false) => Outcome::Wrong,
        }
    }

    /// Reads as much as the disk should have, wherever it can be read.
    fn read(&self, disk: &Disk) -> Read {
        let size = disk.info().size;
        if size != self.expected.len() as u64 {
            return Read::Wrong;
        }
        let mut read = Read::Right;
        let mut buf = vec![0; 64 * 1024];
        for (index, right) in self.expected.chunks(64 * 1024).enumerate() {
            let offset = index as u64 * 64 * 1024;
            let part = &mut buf[..right.len()];
            match disk.read_at(offset, part, Wait::Allowed) {
                Ok(()) if part == right => {}
                Ok(()) => return Read::Wrong,
                Err(ReadError::Damaged {
                    offset: at, path, ..
                }) => {
                    assert!((offset..offset + right.len() as u64).contains(&at));
                    assert!(path.ends_with(self.file), "{path:?}");
                    read = Read::Unreadable;
                }
                Err(error) => panic!("{error}"),
            }
        }
        read
    }
}

#[derive(Clone, Copy)]
enum Read {
    Right,
    Unreadable,
    Wrong,
}

fn byte(file: &File, place: usize) -> u8 {
    let mut byte = [0];
    file.read_exact_at(&mut byte, place as u64).unwrap();
    byte[0]
}

/// What the check tells of a disk.
pub(crate) fn flaws(disk: &Disk) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    disk.check(&mut |flaw| flaws.push(flaw), &|| true);
    flaws
}

/// The name of the field that a place is in: fields by where they begin, in order.
pub(crate) fn field_at(fields: &[(usize, &'static str)], place: usize) -> &'static str {
    let after = fields.partition_point(|(at, _)| *at <= place);
    fields[after - 1].1
}
