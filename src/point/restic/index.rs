//! Where each blob lies: all index files of a repository as one table in memory.
//!
//! It takes [`ENTRY_BYTES`] for each blob, and as much again while it is renewed. A terabyte in
//! blobs of one mebibyte, as restic makes them, is about 64 MiB.

use std::collections::HashMap;

use rustic_core::repofile::{BlobType, IndexFile};
use serde::Deserialize;

use super::id::Id;
use super::seal::SEAL_BYTES;

/// Blobs of one repository, at most: 8 GiB of memory.
pub(super) const MAX_BLOBS: usize = 128 << 20;

/// Entries around a guess that are looked at first.
const FIRST_STEP: usize = 64;

/// Memory for each blob.
const ENTRY_BYTES: usize = 56;
const _: () = assert!(std::mem::size_of::<Entry>() <= ENTRY_BYTES);

/// What a blob is part of. The same bytes may be a blob of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlobKind {
    Tree,
    Data,
}

/// One copy of a blob in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) pack: Id,
    pub(super) offset: u32,
    /// Bytes in the pack.
    pub(super) length: u32,
    /// Bytes of the content when it is compressed, else 0.
    pub(super) plain: u32,
}

impl Copy {
    /// Bytes of the content.
    fn content_bytes(&self) -> u32 {
        match self.plain {
            0 => self.length.saturating_sub(SEAL_BYTES),
            plain => plain,
        }
    }
}

/// Every blob that the index files name.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By kind and name; a blob may have several copies.
    entries: Vec<Entry>,
    /// Those of trees, which come first.
    trees: usize,
    packs: Vec<Id>,
    /// Index files, and the number that their entries bear.
    files: HashMap<Id, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: Id,
    /// Number of the pack among [`Index::packs`].
    pack: u32,
    offset: u32,
    length: u32,
    plain: u32,
    /// Number of the index file.
    file: u32,
    kind: BlobKind,
}

impl Index {
    /// Whether an index file is in it.
    pub(super) fn has_file(&self, file: &Id) -> bool {
        self.files.contains_key(file)
    }

    /// Index files in it.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// Every copy of a blob.
    pub(super) fn copies(&self, kind: BlobKind, id: &Id) -> impl Iterator<Item = Copy> {
        let first = self.first(kind, id);
        let entries = self.entries.get(first..).unwrap_or_default();
        entries
            .iter()
            .take_while(move |entry| (entry.kind, entry.id) == (kind, *id))
            .filter_map(|entry| {
                Some(Copy {
                    pack: *self.packs.get(entry.pack as usize)?,
                    offset: entry.offset,
                    length: entry.length,
                    plain: entry.plain,
                })
            })
    }

    /// Bytes of a blob's content; `None` if it is not there, or its copies contradict each other.
    pub(super) fn content_bytes(&self, kind: BlobKind, id: &Id) -> Option<u32> {
        let mut copies = self.copies(kind, id).map(|copy| copy.content_bytes());
        let bytes = copies.next()?;
        copies.all(|other| other == bytes).then_some(bytes)
    }

    /// Copies of blobs in it.
    pub(super) fn blobs(&self) -> usize {
        self.entries.len()
    }

    /// The first entry that is not before this blob's. Names are as if drawn by lot, so that the place can be guessed to some
    /// hundred among a million: opening a file looks up each of its blobs. Whoever chooses names well makes it a search by halves.
    fn first(&self, kind: BlobKind, id: &Id) -> usize {
        let (from, to) = match kind {
            BlobKind::Tree => (0, self.trees),
            BlobKind::Data => (self.trees, self.entries.len()),
        };
        let entries = self.entries.get(from..to).unwrap_or_default();
        let is_before = |at: usize| entries.get(at).is_some_and(|entry| entry.id < *id);
        let guess = (u128::from(id.first_bits()) * entries.len() as u128) >> u64::BITS;
        let guess = usize::try_from(guess).unwrap_or_default();
        // What is wanted lies behind `low` and not behind `high`, in ever larger steps from the guess.
        let (mut low, mut high, mut step) = (guess, guess, FIRST_STEP);
        while high < entries.len() && is_before(high) {
            (low, high) = (high + 1, high.saturating_add(step).min(entries.len()));
            step *= 2;
        }
        while low > 0 && !is_before(low - 1) {
            (low, high) = (low.saturating_sub(step), low);
            step *= 2;
        }
        let around = entries.get(low..high).unwrap_or_default();
        from + low + around.partition_point(|entry| entry.id < *id)
    }

    /// This index without the files that are gone and with those that are new.
    ///
    /// # Errors
    /// There are more blobs than [`MAX_BLOBS`].
    pub(super) fn renewed(
        &self,
        present: &[Id],
        new: Vec<(Id, Vec<Pack>)>,
    ) -> Result<Index, usize> {
        let mut renewed = Index::default();
        let mut pack_numbers = HashMap::new();
        let mut kept = HashMap::new();
        for file in present {
            if let Some(number) = self.files.get(file) {
                let new_number = number_of(renewed.files.len());
                kept.insert(*number, new_number);
                renewed.files.insert(*file, new_number);
            }
        }
        let added: usize = new
            .iter()
            .flat_map(|(_, packs)| packs)
            .map(|pack| pack.blobs.len())
            .sum();
        renewed.entries.reserve_exact(self.entries.len() + added);
        let mut number_of_pack = |packs: &mut Vec<Id>, id: Id| {
            *pack_numbers.entry(id).or_insert_with(|| {
                packs.push(id);
                number_of(packs.len() - 1)
            })
        };
        for entry in &self.entries {
            let (Some(file), Some(pack)) =
                (kept.get(&entry.file), self.packs.get(entry.pack as usize))
            else {
                continue;
            };
            let pack = number_of_pack(&mut renewed.packs, *pack);
            renewed.entries.push(Entry {
                pack,
                file: *file,
                ..*entry
            });
        }
        for (id, packs) in new {
            let file = number_of(renewed.files.len());
            renewed.files.insert(id, file);
            for pack in packs {
                let number = number_of_pack(&mut renewed.packs, pack.id);
                renewed.entries.extend(pack.blobs.iter().map(|blob| Entry {
                    id: blob.id,
                    pack: number,
                    offset: blob.offset,
                    length: blob.length,
                    plain: blob.plain,
                    file,
                    kind: blob.kind,
                }));
            }
        }
        if renewed.entries.len() > MAX_BLOBS {
            return Err(MAX_BLOBS);
        }
        renewed
            .entries
            .sort_unstable_by_key(|entry| (entry.kind, entry.id));
        renewed.trees = (renewed.entries).partition_point(|entry| entry.kind == BlobKind::Tree);
        Ok(renewed)
    }
}

/// There are fewer packs and files than 2^32: each takes memory of its own.
fn number_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A pack as an index file describes it.
#[derive(Clone, Debug)]
pub(super) struct Pack {
    id: Id,
    blobs: Vec<Blob>,
}

impl Pack {
    /// Blobs in it.
    pub(super) fn count(&self) -> usize {
        self.blobs.len()
    }
}

#[derive(Clone, Copy, Debug)]
struct Blob {
    id: Id,
    kind: BlobKind,
    offset: u32,
    length: u32,
    plain: u32,
}

/// Reads the text of an index file. Packs that rustic has marked for deletion are there until they
/// are deleted, and may be needed by a snapshot that was made meanwhile.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Pack>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let file = IndexFile::deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    let packs = file.packs.into_iter().chain(file.packs_to_delete);
    Ok(packs
        .map(|pack| Pack {
            id: (*pack.id).into(),
            blobs: pack
                .blobs
                .iter()
                .map(|blob| Blob {
                    id: (*blob.id).into(),
                    kind: match blob.tpe {
                        BlobType::Tree => BlobKind::Tree,
                        BlobType::Data => BlobKind::Data,
                    },
                    offset: blob.location.offset,
                    length: blob.location.length,
                    plain: blob
                        .location
                        .uncompressed_length
                        .map_or(0, std::num::NonZeroU32::get),
                })
                .collect(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> Id {
        Id::parse(&digit.to_string().repeat(64)).unwrap()
    }

    fn file(pack: char, blobs: &[(char, &str, u32)]) -> Vec<Pack> {
        let blobs: Vec<String> = blobs
            .iter()
            .map(|(blob, kind, offset)| {
                format!(
                    r#"{{"id":"{}","type":"{kind}","offset":{offset},"length":40,"uncompressed_length":9}}"#,
                    id(*blob)
                )
            })
            .collect();
        let text = format!(
            r#"{{"packs":[{{"id":"{}","blobs":[{}]}}]}}"#,
            id(pack),
            blobs.join(",")
        );
        parse(text.as_bytes()).unwrap()
    }

    fn places(index: &Index, kind: BlobKind, blob: char) -> Vec<(Id, u32)> {
        let id = id(blob);
        let copies = index.copies(kind, &id);
        copies.map(|copy| (copy.pack, copy.offset)).collect()
    }

    #[test]
    fn files_come_and_go() {
        let first = file(
            'a',
            &[('1', "data", 0), ('2', "data", 40), ('1', "tree", 80)],
        );
        let index = Index::default()
            .renewed(&[id('0')], vec![(id('0'), first)])
            .unwrap();
        assert!(index.has_file(&id('0')) && !index.has_file(&id('9')));
        assert_eq!(places(&index, BlobKind::Data, '1'), [(id('a'), 0)]);
        assert_eq!(places(&index, BlobKind::Tree, '1'), [(id('a'), 80)]);
        assert_eq!(places(&index, BlobKind::Data, '3'), []);

        // The same blob again in another pack.
        let second = file('b', &[('2', "data", 7), ('3', "data", 47)]);
        let index = index
            .renewed(&[id('0'), id('9')], vec![(id('9'), second)])
            .unwrap();
        let mut copies = places(&index, BlobKind::Data, '2');
        copies.sort();
        assert_eq!(copies, [(id('a'), 40), (id('b'), 7)]);

        // What pruning leaves.
        let index = index.renewed(&[id('9')], Vec::new()).unwrap();
        assert_eq!(places(&index, BlobKind::Data, '1'), []);
        assert_eq!(places(&index, BlobKind::Data, '2'), [(id('b'), 7)]);
        assert_eq!(places(&index, BlobKind::Data, '3'), [(id('b'), 47)]);
    }

    /// Of many blobs each is found, and nothing else, whether their names are spread evenly or lie close together.
    #[test]
    fn every_name_is_found() {
        let drawn = (0..3000_u32).map(|number| Id::of(&number.to_le_bytes()).to_string());
        let close = (0..3000_u32).map(|number| format!("{:056}{:08x}", 0, number * 3 + 1));
        for names in [drawn.collect::<Vec<_>>(), close.collect()] {
            let (there, not_there) = names.split_at(2000);
            let blobs = there.iter().zip(["tree", "data", "data"].iter().cycle());
            let blobs: Vec<String> = blobs
                .map(|(name, kind)| {
                    format!(r#"{{"id":"{name}","type":"{kind}","offset":0,"length":40}}"#)
                })
                .collect();
            let text = format!(
                r#"{{"packs":[{{"id":"{}","blobs":[{}]}}]}}"#,
                id('a'),
                blobs.join(",")
            );
            let packs = parse(text.as_bytes()).unwrap();
            let index = Index::default()
                .renewed(&[], vec![(id('0'), packs)])
                .unwrap();
            let found = |name: &String, kind| index.content_bytes(kind, &Id::parse(name).unwrap());
            for (number, name) in there.iter().enumerate() {
                let both = (found(name, BlobKind::Tree), found(name, BlobKind::Data));
                let expected = match number % 3 {
                    0 => (Some(8), None),
                    _ => (None, Some(8)),
                };
                assert_eq!(both, expected, "{name}");
            }
            let ends = ["0".repeat(64), "f".repeat(64)];
            for name in not_there.iter().chain(&ends) {
                assert_eq!(
                    found(name, BlobKind::Tree).or(found(name, BlobKind::Data)),
                    None
                );
            }
        }
        assert_eq!(
            Index::default().content_bytes(BlobKind::Data, &id('a')),
            None
        );
    }

    #[test]
    fn copies_that_contradict_each_other_have_no_length() {
        let text = format!(
            r#"{{"packs":[{{"id":"{0}","blobs":[{{"id":"{1}","type":"data","offset":0,"length":40,"uncompressed_length":9}}]}},
            {{"id":"{1}","blobs":[{{"id":"{1}","type":"data","offset":0,"length":41}}]}},
            {{"id":"{2}","blobs":[{{"id":"{1}","type":"data","offset":0,"length":LENGTH}}]}}]}}"#,
            id('a'),
            id('b'),
            id('c')
        );
        for (length, expected) in [("41", Some(9)), ("42", None)] {
            let packs = parse(text.replace("LENGTH", length).as_bytes()).unwrap();
            let index = Index::default()
                .renewed(&[], vec![(id('0'), packs)])
                .unwrap();
            assert_eq!(
                index.content_bytes(BlobKind::Data, &id('b')),
                expected,
                "{length}"
            );
            assert_eq!(index.copies(BlobKind::Data, &id('b')).count(), 3);
        }
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"packs":[{"id":"zz","blobs":[]}]}"#,
            r#"{"packs":1}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
