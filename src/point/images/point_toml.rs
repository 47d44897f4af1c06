//! `point.toml`: what the operator says of a recovery point. Every key may be left out.
//!
//! ```toml
//! time = 2026-11-20T02:00:00Z       # else the folder's name
//! consistency = "application"       # file-system, crash
//! os = "Debian 13"
//! sector_size = 512                 # or 1024, 2048, 4096; for all disks; else the image's, or 512
//! references = "source"             # else "vm": where files may lie that images name
//!
//! [[disk]]                          # else every image in the folder, disk2 before disk10
//! name = "system"                   # else the file's name
//! file = "vda.img"
//! format = "raw"                    # or "qcow2", "vhd", "vhdx", "vmdk"; else by content, where the name agrees with it
//! sector_size = 4096
//! ```

use std::path::PathBuf;

use disk_image::Format;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::time;
use crate::point::recovery_point::Consistency;

/// The content of a `point.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::point) struct PointToml {
    #[serde(default, deserialize_with = "read_time")]
    pub(in crate::point) time: Option<Timestamp>,
    #[serde(default)]
    pub(in crate::point) consistency: Consistency,
    pub(in crate::point) os: Option<String>,
    pub(in crate::point) sector_size: Option<SectorSize>,
    #[serde(default)]
    pub(in crate::point) references: References,
    #[serde(default, rename = "disk")]
    pub(in crate::point) disks: Vec<DiskToml>,
}

/// One `[[disk]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::point) struct DiskToml {
    pub(in crate::point) name: Option<String>,
    pub(in crate::point) file: PathBuf,
    pub(in crate::point) format: Option<Format>,
    pub(in crate::point) sector_size: Option<SectorSize>,
}

/// Where files may lie that the images of a point name: bases, parents, extents, data files. What an
/// image names can be what its guest wishes, where an image is taken for another format than it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::point) enum References {
    /// In the VM's folder.
    #[default]
    Vm,
    /// Anywhere in the source, such as a base that VMs share.
    Source,
}

/// Bytes in a logical sector.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u32")]
pub(in crate::point) struct SectorSize(u32);

impl SectorSize {
    pub(in crate::point) fn bytes(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for SectorSize {
    type Error = &'static str;

    fn try_from(bytes: u32) -> Result<Self, &'static str> {
        match bytes {
            512 | 1024 | 2048 | 4096 => Ok(SectorSize(bytes)),
            _ => Err("sector_size must be 512, 1024, 2048 or 4096"),
        }
    }
}

/// A TOML date-time, or the same forms as a folder's name in quotes.
fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "time must be a date and time such as 2026-11-20T02:00:00Z"
    )]
    enum Time {
        Toml(toml::value::Datetime),
        Text(String),
    }
    let text = match Time::deserialize(deserializer)? {
        Time::Toml(date_time) => date_time.to_string(),
        Time::Text(text) => text,
    };
    let time = time::parse(&text);
    time.map(Some).ok_or_else(|| {
        serde::de::Error::custom("time must be a date and time such as 2026-11-20T02:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_key() {
        let text = r#"
            time = 2026-11-20T02:00:00+01:00
            consistency = "file-system"
            os = "Debian 13"
            sector_size = 4096
            references = "source"
            [[disk]]
            name = "system"
            file = "vda.img"
            format = "raw"
            sector_size = 512
            [[disk]]
            file = "vdb.qcow2"
        "#;
        let point: PointToml = toml::from_str(text).unwrap();
        assert_eq!(point.time, Some("2026-11-20T01:00:00Z".parse().unwrap()));
        assert_eq!(point.consistency, Consistency::FileSystem);
        assert_eq!(point.sector_size.unwrap().bytes(), 4096);
        assert_eq!(point.references, References::Source);
        assert_eq!(point.disks.len(), 2);
        assert_eq!(point.disks[0].format, Some(Format::Raw));
        assert_eq!(point.disks[0].sector_size.unwrap().bytes(), 512);
        let quoted: PointToml = toml::from_str("time = '2026-11-20T01-00-00Z'").unwrap();
        assert_eq!(quoted.time, point.time);
        assert_eq!(quoted.references, References::Vm);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (text, word) in [
            ("tiem = 2026-11-20T02:00:00Z", "tiem"),
            ("[[disk]]\nfile = 'a'\nfmt = 'raw'", "fmt"),
            ("[[disk]]\nname = 'a'", "file"),
            ("[[disk]]\nfile = 'a'\nformat = 'vdi'", "vdi"),
            ("consistency = 'perfect'", "perfect"),
            ("references = 'everywhere'", "everywhere"),
            ("sector_size = 520", "512, 1024, 2048 or 4096"),
            ("sector_size = 8192", "512, 1024, 2048 or 4096"),
            ("time = 'yesterday'", "time must be"),
            ("time = 02:00:00", "time must be"),
        ] {
            let error = toml::from_str::<PointToml>(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
