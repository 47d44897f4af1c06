//! A folder of a snapshot: its names, and the blobs of its files.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use rustic_core::repofile::Node;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::error::RepositoryError;
use super::id::Id;
use super::image::MAX_FILE_BLOBS;
use super::repository::{Repository, guard};

/// Names in one folder, at most.
const MAX_NAMES: usize = 1 << 20;

/// Blobs of a file that an outline keeps: a `point.toml` has one.
const OUTLINE_BLOBS: usize = 16;

/// A folder as a snapshot keeps it.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) entries: Vec<TreeEntry>,
    /// Bytes of the list.
    pub(super) bytes: usize,
}

/// One name in a folder.
#[derive(Debug)]
pub(super) struct TreeEntry {
    /// Any bytes.
    pub(super) name: OsString,
    pub(super) kind: EntryKind,
}

/// What stands behind a name.
#[derive(Debug)]
pub(super) enum EntryKind {
    File {
        /// In their order.
        blobs: Arc<Vec<Id>>,
        /// Its length as the folder tells it.
        bytes: u64,
    },
    Folder(Id),
    /// Not followed.
    Link,
    /// A device, a pipe, a folder without content, or something that later versions know.
    Other,
}

impl Tree {
    /// Reads a folder.
    pub(super) fn read(repository: &Repository, id: &Id) -> Result<Tree, RepositoryError> {
        Tree::parse::<{ usize::MAX }>(repository, id)
    }

    /// Reads a folder for its names: most blobs of large files, which have a million for a terabyte, are not kept.
    pub(super) fn outline(repository: &Repository, id: &Id) -> Result<Tree, RepositoryError> {
        Tree::parse::<OUTLINE_BLOBS>(repository, id)
    }

    /// Keeps so many blobs of each file.
    fn parse<const BLOBS: usize>(
        repository: &Repository,
        id: &Id,
    ) -> Result<Tree, RepositoryError> {
        repository.folder(id, |text| {
            guard(|| {
                let read: Listing<BLOBS> =
                    serde_json::from_slice(text).map_err(|error| RepositoryError::Damaged {
                        file: format!("the folder in blob {id}"),
                        what: error.to_string(),
                    })?;
                Ok(Tree {
                    entries: read.nodes.0,
                    bytes: text.len(),
                })
            })
        })
    }

    /// What bears a name.
    pub(super) fn entry(&self, name: &OsStr) -> Option<&EntryKind> {
        let found = self.entries.iter().find(|entry| entry.name == name);
        found.map(|entry| &entry.kind)
    }
}

#[derive(Deserialize)]
struct Listing<const BLOBS: usize> {
    nodes: Nodes<BLOBS>,
}

/// A node, as far as it matters. What else stands in it is passed over, and costs no memory.
#[derive(Deserialize)]
struct Written<const BLOBS: usize> {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    content: Blobs<BLOBS>,
    #[serde(default)]
    subtree: Option<Id>,
}

/// Taken one by one, so that what nobody asks for is not kept.
struct Nodes<const BLOBS: usize>(Vec<TreeEntry>);

/// The first blobs of a file.
#[derive(Default)]
struct Blobs<const BLOBS: usize>(Vec<Id>);

impl<'de, const BLOBS: usize> Deserialize<'de> for Nodes<BLOBS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneByOne<const BLOBS: usize>;

        impl<'de, const BLOBS: usize> Visitor<'de> for OneByOne<BLOBS> {
            type Value = Nodes<BLOBS>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of nodes")
            }

            fn visit_unit<E>(self) -> Result<Nodes<BLOBS>, E> {
                Ok(Nodes(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut nodes: A) -> Result<Nodes<BLOBS>, A::Error> {
                let mut entries = Vec::new();
                while let Some(node) = nodes.next_element::<Written<BLOBS>>()? {
                    if entries.len() >= MAX_NAMES {
                        return Err(de::Error::custom("the folder holds too many names"));
                    }
                    entries.push(TreeEntry::new(node));
                }
                Ok(Nodes(entries))
            }
        }

        deserializer.deserialize_any(OneByOne::<BLOBS>)
    }
}

impl<'de, const BLOBS: usize> Deserialize<'de> for Blobs<BLOBS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneByOne<const BLOBS: usize>;

        impl<'de, const BLOBS: usize> Visitor<'de> for OneByOne<BLOBS> {
            type Value = Blobs<BLOBS>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of blobs")
            }

            fn visit_unit<E>(self) -> Result<Blobs<BLOBS>, E> {
                Ok(Blobs(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut ids: A) -> Result<Blobs<BLOBS>, A::Error> {
                let mut blobs = Vec::new();
                while blobs.len() < BLOBS {
                    let Some(id) = ids.next_element()? else {
                        break;
                    };
                    if blobs.len() > MAX_FILE_BLOBS {
                        return Err(de::Error::custom("a file has too many blobs"));
                    }
                    blobs.push(id);
                }
                while ids.next_element::<IgnoredAny>()?.is_some() {}
                blobs.shrink_to_fit();
                Ok(Blobs(blobs))
            }
        }

        deserializer.deserialize_any(OneByOne::<BLOBS>)
    }
}

impl TreeEntry {
    fn new<const BLOBS: usize>(written: Written<BLOBS>) -> TreeEntry {
        let kind = match (written.kind.as_str(), written.subtree) {
            ("file", _) => EntryKind::File {
                blobs: Arc::new(written.content.0),
                bytes: written.size,
            },
            ("dir", Some(id)) => EntryKind::Folder(id),
            ("symlink", _) => EntryKind::Link,
            _ => EntryKind::Other,
        };
        // It knows how bytes that are no text are written.
        let node = Node {
            name: written.name,
            ..Node::default()
        };
        TreeEntry {
            name: node.name().into_owned(),
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<TreeEntry>, String> {
        let read = serde_json::from_str::<Listing<2>>(text);
        read.map(|listing| listing.nodes.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_restic_writes() {
        let id = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = format!(
            r#"{{"nodes":[
            {{"name":"a \"b\\xff.raw","type":"file","mode":420,"size":7,"content":["{id}","{id}"]}},
            {{"name":"empty","type":"file","content":null}},
            {{"name":"large","type":"file","content":["{id}","{id}","{id}"]}},
            {{"name":"folder","type":"dir","subtree":"{id}"}},
            {{"name":"link","type":"symlink","linktarget":"/etc/shadow"}},
            {{"name":"pipe","type":"fifo","something_new":{{"a":[1]}}}},
            {{"name":"later","type":"irregular"}}]}}"#
        );
        let entries = parse(&text).unwrap();
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(entries[0].name.as_bytes(), b"a \"b\xff.raw");
        assert!(
            matches!(&entries[0].kind, EntryKind::File { blobs, bytes: 7 } if blobs.len() == 2)
        );
        assert!(matches!(&entries[1].kind, EntryKind::File { blobs, .. } if blobs.is_empty()));
        // More than are to be kept.
        assert!(matches!(&entries[2].kind, EntryKind::File { blobs, .. } if blobs.len() == 2));
        assert!(matches!(&entries[3].kind, EntryKind::Folder(tree) if tree.to_string() == id));
        assert!(matches!(&entries[4].kind, EntryKind::Link));
        assert!(matches!(&entries[5].kind, EntryKind::Other));
        assert!(matches!(&entries[6].kind, EntryKind::Other));
        assert!(parse(r#"{"nodes":null}"#).unwrap().is_empty());
        for text in [
            "{}",
            r#"{"nodes":[{}]}"#,
            r#"{"nodes":[{"name":"a"}]}"#,
            r#"{"nodes":[{"name":"a","type":"file","content":["e3b0"]}]}"#,
            r#"{"nodes":[{"name":"a","type":"file","size":-1}]}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
