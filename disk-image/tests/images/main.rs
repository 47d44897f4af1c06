//! Images of every format, held against what QEMU's own tools say of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests make the files and look at them"
)]

mod bitmaps;
mod chains;
mod changes;
mod damage;
mod layers;
mod limits;
mod long_chains;
mod lost_together;
mod memory;
mod oracle;
mod qcow2;
mod qcow2_at_random;
mod references;
mod rot;
mod rot_qcow2;
mod rot_vhd;
mod rot_vhdx;
mod rot_vmdk;
mod scale;
mod snapshots;
mod source;
mod vhd;
mod vhd_writer;
mod vhdx;
mod vhdx_damage;
mod vhdx_log;
mod vhdx_writer;
mod vmdk;
mod vmdk_damage;
mod vmdk_esx;
mod vmdk_products;
mod vmdk_writer;
