//! INQUIRY and the vital product data.

use super::*;

#[test]
fn standard_data() {
    let data = rig().data(0, &[0x12, 0, 0, 0, 255, 0]);
    assert_eq!(data.len(), 96);
    assert_eq!(data[..8], [0x00, 0x00, 0x06, 0x12, 91, 0x00, 0x00, 0x02]);
    assert_eq!(&data[8..36], b"ITEMLIFTweb-01          0001");
    // SAM-5, SPC-4, SBC-3, iSCSI at level 1.
    assert_eq!(
        data[58..74],
        [
            0x00, 0xA0, 0x04, 0x60, 0x04, 0xC0, 0x09, 0x61, 0, 0, 0, 0, 0, 0, 0, 0
        ]
    );
}

#[test]
fn allocation_length_has_sixteen_bits_and_cuts() {
    let rig = rig();
    assert_eq!(rig.data(0, &[0x12, 0, 0, 0x02, 0x00, 0]).len(), 96);
    for length in 0..=96 {
        assert_eq!(
            rig.data(0, &[0x12, 0, 0, 0, length, 0]).len(),
            usize::from(length)
        );
    }
}

#[test]
fn an_absent_unit_says_so() {
    let rig = rig();
    let data = rig.data(7, &[0x12, 0, 0, 0, 255, 0]);
    assert_eq!(data[0], 0x7F);
    assert_eq!(data.len(), 96);
    assert_eq!(
        blamed(rig.send(7, &[0x12, 1, 0x83, 0, 255, 0])),
        (1, Some(0))
    );
}

#[test]
fn a_page_code_needs_evpd() {
    let rig = rig();
    assert_eq!(blamed(rig.send(0, &[0x12, 0, 0x01, 1, 0, 0])), (2, None));
    assert_eq!(
        blamed(rig.send(0, &[0x12, 0x02, 0, 0, 255, 0])),
        (1, Some(1))
    );
}

#[test]
fn vital_pages_are_listed_and_only_those_exist() {
    let rig = rig();
    let list = rig.data(0, &[0x12, 1, 0, 0, 255, 0]);
    assert_eq!(list, [0, 0, 0, 6, 0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2]);
    for code in 0..=255 {
        let answer = rig.send(0, &[0x12, 1, code, 0, 255, 0]);
        if list[4..].contains(&code) {
            let page = data(answer);
            assert_eq!(page[..2], [0, code]);
            assert_eq!(usize::from(page[3]) + 4, page.len());
        } else {
            assert_eq!(blamed(answer), (2, None), "page {code:#04x}");
        }
    }
}

#[test]
fn serial_number_page() {
    let page = rig().data(1, &[0x12, 1, 0x80, 0, 255, 0]);
    assert_eq!(page, b"\x00\x80\x00\x100123456789abcde1");
}

#[test]
fn designators() {
    let page = rig().data(0, &[0x12, 1, 0x83, 0, 255, 0]);
    let expected = [
        b"\x00\x83\x00\x78".as_slice(),
        b"\x02\x01\x00\x18ITEMLIFT0123456789abcde0",
        b"\x01\x03\x00\x08\x31\x23\x45\x67\x89\xAB\xCD\xE0",
        b"\x51\x94\x00\x04\x00\x00\x00\x01",
        b"\x53\x98\x00\x24iqn.2026-11.io.itemlift:g1,t,0x0001\x00",
        b"\x53\xA8\x00\x1Ciqn.2026-11.io.itemlift:g1\x00\x00",
    ]
    .concat();
    assert_eq!(page, expected);
}

/// Disks whose numbers differ in the low half byte must not merge in a host that reads only NAA.
#[test]
fn no_two_units_share_a_designator() {
    let rig = rig();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for lun in [0, 1, 5, 255] {
        let page = rig.data(lun, &[0x12, 1, 0x83, 0, 255, 0]);
        for designator in [page[4..32].to_vec(), page[32..44].to_vec()] {
            assert!(!seen.contains(&designator), "unit {lun}: {designator:02x?}");
            seen.push(designator);
        }
    }
}

#[test]
fn a_long_target_name_is_cut_to_the_standard() {
    let name = "iqn.2026-11.io.itemlift:".to_owned() + &"x".repeat(300);
    let geometry = Geometry::new(BlockCount(1), BlockSize::B512).unwrap();
    let target = Target::new(&name, vec![LogicalUnit::new(0, geometry, "", 1)]).unwrap();
    let nexus = target.attach(port(1)).unwrap();
    let cdb = cdb(&[0x12, 1, 0x83, 0xFF, 0xFF, 0]);
    let page = data(target.execute(&nexus, Lun::peripheral(0), &cdb, None));
    assert_eq!(
        usize::from(u16::from_be_bytes([page[2], page[3]])) + 4,
        page.len()
    );
    assert_eq!(page[4 + 28 + 12 + 8 + 3], 252);
}

#[test]
fn block_limits() {
    let rig = rig();
    let small = rig.data(0, &[0x12, 1, 0xB0, 0, 255, 0]);
    assert_eq!(small.len(), 64);
    // WSNZ; 4 KiB granularity; at most 16 MiB, best 1 MiB.
    assert_eq!(
        small[..16],
        [0, 0xB0, 0, 0x3C, 1, 0, 0, 8, 0, 0, 0x80, 0, 0, 0, 8, 0]
    );
    assert_eq!(small[16..], [0; 48]);
    let large = rig.data(1, &[0x12, 1, 0xB0, 0, 255, 0]);
    assert_eq!(
        large[..16],
        [0, 0xB0, 0, 0x3C, 1, 0, 0, 1, 0, 0, 0x10, 0, 0, 0, 1, 0]
    );
}

#[test]
fn characteristics_and_provisioning() {
    let rig = rig();
    let characteristics = rig.data(0, &[0x12, 1, 0xB1, 0, 255, 0]);
    assert_eq!(characteristics[..6], [0, 0xB1, 0, 0x3C, 0x00, 0x01]);
    assert_eq!(characteristics[6..], [0; 58]);
    assert_eq!(
        rig.data(0, &[0x12, 1, 0xB2, 0, 255, 0]),
        [0, 0xB2, 0, 4, 0, 0, 0, 0]
    );
}
