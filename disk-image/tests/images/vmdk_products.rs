//! What VirtualBox and vSphere write into a VMDK that VMware's specification does not tell of.

use crate::source::{Source, assert_same, content};
use crate::vmdk_writer::descriptor;

const MIB: usize = 1 << 20;
const BYTES: usize = 5 * MIB + 512 * 37;
const GRAIN: usize = 64 << 10;

/// VirtualBox writes whole grains into the header, and what the disk has into the descriptor.
#[test]
fn the_descriptor_says_where_the_last_grain_ends() {
    let source = Source::new();
    let expected = content(BYTES, 100);
    source.convert(&expected, "-O vmdk", "disk.vmdk");
    let mut file = source.read("disk.vmdk");
    assert_eq!(&file[12..20], ((BYTES / 512) as u64).to_le_bytes());
    let grains = BYTES.next_multiple_of(GRAIN) / 512;
    file[12..20].copy_from_slice(&(grains as u64).to_le_bytes());
    source.write("disk.vmdk", &file);
    assert_same(&source.disk("disk.vmdk"), &expected, "whole grains");
    // More than that is no rounding: one of the two is wrong.
    for capacity in [grains + 128, BYTES / 512 - 1] {
        file[12..20].copy_from_slice(&(capacity as u64).to_le_bytes());
        source.write("disk.vmdk", &file);
        let refusal = source.refusal("disk.vmdk");
        assert!(refusal.contains("its header"), "{capacity}: {refusal}");
    }
}

/// VirtualBox writes what a snapshot is based on in its own way, beside "no parent" in VMware's.
#[test]
fn snapshots_of_virtualbox_are_not_taken_for_whole_disks() {
    let source = Source::new();
    source.write("base-flat.vmdk", content(MIB, 96));
    for (parent, is_based) in [
        ("00000000-0000-0000-0000-000000000000", false),
        ("2ebfd8e9-9868-4688-8f3f-97e3f9def370", true),
    ] {
        let line = "RW 2048 FLAT \"base-flat.vmdk\" 0";
        let text = descriptor("monolithicFlat", 7, None, &[line]);
        source.write("disk.vmdk", format!("{text}ddb.uuid.parent=\"{parent}\"\n"));
        match is_based {
            false => assert_same(&source.disk("disk.vmdk"), &content(MIB, 96), "a base"),
            true => assert!(source.refusal("disk.vmdk").contains("VirtualBox")),
        }
    }
}

/// Of a VM that vSphere encrypts the descriptor is text, with the wrapped key in it, and the extents are not the guest's bytes.
#[test]
fn what_vsphere_encrypted_is_refused() {
    let source = Source::new();
    source.write("disk-flat.vmdk", content(MIB, 96));
    let line = "RW 2048 VMFS \"disk-flat.vmdk\"";
    let text = descriptor("vmfs", 7, None, &[line]);
    let keys =
        "encryptionKeys=\"vmware:key/list/(pair/(fqid/<VMWARE-NULL>/kms/1,HMAC-SHA-256,MA==))\"";
    let text = text.replace("createType", &format!("{keys}\ncreateType"));
    source.write("disk.vmdk", text);
    let refusal = source.refusal("disk.vmdk");
    assert!(refusal.contains("is encrypted"), "{refusal}");
}
