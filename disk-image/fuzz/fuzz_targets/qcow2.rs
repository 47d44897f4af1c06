//! Images of qcow2 with any bytes changed: see `oracle` for what must hold.
#![no_main]

use std::sync::LazyLock;

use disk_image_fuzz::{oracle, qcow2, store::Disk};
use libfuzzer_sys::fuzz_target;

static DISKS: LazyLock<Vec<Disk>> = LazyLock::new(qcow2::disks);

fuzz_target!(|input: &[u8]| oracle::check(&DISKS, input));
