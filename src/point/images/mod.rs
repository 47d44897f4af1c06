//! The `images` source: a folder tree `VM/POINT/DISK.EXT`.

mod beside;
mod order;
mod point_folder;
mod point_toml;
mod scan;
mod snapshots;
mod stamps;
mod time;
mod tree;

pub(super) use point_folder::{MAX_POINT_TOML, POINT_TOML, fill, parse_point_toml};
pub(super) use point_toml::{DiskToml, PointToml};
pub(super) use tree::Images;
