//! What the fuzz targets of disk-image share: a store in memory, images to begin with, and the oracle.
//!
//! An input changes bytes of good images, and those alone that a parser looks at: byte 0 chooses the images,
//! then come changes of a place (2 bytes), a length (1 byte) and so many bytes. The high bit of the length
//! says that checksums are put right afterwards.

pub mod oracle;
pub mod qcow2;
pub mod store;
pub mod vhd;
#[path = "../../tests/images/vhd_writer.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod vhd_writer;
pub mod vhdx;
#[path = "../../tests/images/vhdx_writer.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod vhdx_writer;
pub mod vmdk;
#[path = "../../tests/images/vmdk_writer.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod vmdk_writer;
