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

pub(super) use tree::Images;
