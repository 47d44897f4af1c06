//! What an image says of the image that it is based on.

use std::path::PathBuf;

use crate::error::OpenFault;
use crate::guid::Guid;
use crate::image::Image;

/// Names of one parent, at most. Every one that is not there costs a look-up.
const MAX_NAMES: usize = 8;

/// A parent, not yet found.
#[derive(Debug)]
pub(crate) struct Parent {
    /// Relative to the folder of the image, or absolute; the first one that is there is taken.
    pub(crate) names: Vec<PathBuf>,
    pub(crate) identity: Identity,
}

/// How a parent is told from another file of its name.
#[derive(Debug)]
pub(crate) enum Identity {
    /// VHDX: its data write GUID is one of these.
    DataWrite(Vec<Guid>),
    /// VHD: its unique ID. The time that a child remembers too is that of the parent's file, which
    /// no copy of it has.
    UniqueId(Guid),
    /// VMDK: its content ID.
    ContentId(u32),
}

/// Paths that names as Windows writes them lead to. Nothing here has drives: of an absolute name
/// only the last part is used, beside the image, where backups put a chain's files. The identity
/// tells whether that is the right file.
pub(crate) fn windows_names(names: &[String]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let slashed = names.iter().map(|name| name.replace('\\', "/"));
    let slashed: Vec<String> = slashed.collect();
    let relative = slashed.iter().filter(|name| !is_absolute(name));
    for name in relative
        .map(String::as_str)
        .chain(slashed.iter().filter_map(|name| last_part(name)))
    {
        let path = PathBuf::from(name);
        if !name.is_empty() && !paths.contains(&path) && paths.len() < MAX_NAMES {
            paths.push(path);
        }
    }
    paths
}

/// `C:/…`, `//?/Volume{…}/…`, `/…`.
fn is_absolute(name: &str) -> bool {
    name.starts_with('/') || name.as_bytes().get(1) == Some(&b':')
}

fn last_part(name: &str) -> Option<&str> {
    let part = name.rsplit(['/', ':']).next()?;
    (part != "." && part != "..").then_some(part)
}

impl Identity {
    /// Whether an image is the one that was meant.
    pub(crate) fn check(&self, found: &Image) -> Result<(), OpenFault> {
        let (is_it, wanted, found) = match (self, found) {
            (Identity::DataWrite(wanted), Image::Vhdx(vhdx)) => {
                let is = vhdx.data_write();
                (wanted.contains(&is), format!("{wanted:?}"), is.to_string())
            }
            (Identity::UniqueId(wanted), Image::Vhd(vhd)) => {
                let is = vhd.id();
                (*wanted == is, wanted.to_string(), is.to_string())
            }
            (Identity::ContentId(wanted), Image::Vmdk(vmdk)) => {
                let is = vmdk.content_id();
                (*wanted == is, format!("{wanted:08x}"), format!("{is:08x}"))
            }
            // A parent has the format of its child.
            _ => return Ok(()),
        };
        match is_it {
            true => Ok(()),
            false => Err(OpenFault::OtherParent { wanted, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_windows_writes_them() {
        let paths = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let paths = windows_names(&names);
            let texts = paths.iter().map(|path| path.to_str().unwrap().to_owned());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(
            paths(&[r"..\base\disk.vhdx", r"C:\VMs\base\disk.vhdx"]),
            ["../base/disk.vhdx", "disk.vhdx"]
        );
        assert_eq!(paths(&[r".\disk.vhdx"]), ["./disk.vhdx", "disk.vhdx"]);
        assert_eq!(
            paths(&[r"\\?\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\disk.vhdx"]),
            ["disk.vhdx"]
        );
        assert_eq!(
            paths(&["", r"..", r"C:\", "C:disk.vhd"]),
            ["..", "disk.vhd"]
        );
        let many: Vec<String> = (0..100).map(|n| format!("{n}.vhd")).collect();
        assert_eq!(windows_names(&many).len(), 8);
    }
}
