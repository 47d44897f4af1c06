//! MODE SENSE and MODE SELECT.

use super::*;

const RECOVERY: [u8; 12] = [0x01, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const CACHING: [u8; 20] = [
    0x08, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const CONTROL: [u8; 12] = [0x0A, 0x0A, 0, 0x10, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0];

/// The control page with other bytes 2 and 4.
fn control(d_sense: u8, swp: u8) -> [u8; 12] {
    let mut page = CONTROL;
    (page[2], page[4]) = (d_sense, swp);
    page
}

#[test]
fn linux_asks_for_four_bytes_first() {
    // Length, medium type, WP without DPOFUA, descriptor length.
    assert_eq!(rig().data(0, &[0x1A, 0, 0x3F, 0, 4, 0]), [55, 0, 0x80, 8]);
}

#[test]
fn all_pages_with_the_short_descriptor() {
    let rig = rig();
    let data = rig.data(0, &[0x1A, 0, 0x3F, 0, 255, 0]);
    assert_eq!(data[..12], [55, 0, 0x80, 8, 0, 0, 8, 0, 0, 0, 2, 0]);
    assert_eq!(
        data[12..],
        [RECOVERY.as_slice(), &CACHING, &CONTROL].concat()
    );
    // More blocks than fit the descriptor.
    assert_eq!(
        rig.data(1, &[0x1A, 0, 0x08, 0, 255, 0])[4..12],
        [255, 255, 255, 255, 0, 0, 0x10, 0]
    );
    // DBD, and subpages where there are none.
    let bare = rig.data(0, &[0x1A, 8, 0x3F, 0xFF, 255, 0]);
    assert_eq!(bare[..4], [47, 0, 0x80, 0]);
    assert_eq!(bare.len(), 48);
}

#[test]
fn the_long_command_has_its_own_header_and_descriptor() {
    let rig = rig();
    let plain = rig.data(0, &[0x5A, 0, 0x08, 0, 0, 0, 0, 0, 255, 0]);
    assert_eq!(
        plain[..16],
        [0, 34, 0, 0x80, 0, 0, 0, 8, 0, 0, 8, 0, 0, 0, 2, 0]
    );
    assert_eq!(plain[16..], CACHING);
    let long = rig.data(1, &[0x5A, 0x10, 0x08, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(long[..8], [0, 42, 0, 0x80, 1, 0, 0, 16]);
    assert_eq!(
        long[8..24],
        [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]
    );
    let bare = rig.data(0, &[0x5A, 0x18, 0x08, 0, 0, 0, 0, 0, 255, 0]);
    assert_eq!(bare[..8], [0, 26, 0, 0x80, 0, 0, 0, 0]);
}

#[test]
fn page_control_picks_the_values() {
    let rig = rig();
    let page = |byte| rig.data(0, &[0x1A, 8, byte, 0, 255, 0])[4..].to_vec();
    assert_eq!(page(0x0A), CONTROL);
    assert_eq!(page(0x4A), [0x0A, 0x0A, 0x04, 0, 0x08, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(page(0x8A), CONTROL);
    assert_eq!(
        sense(rig.send(0, &[0x1A, 8, 0xCA, 0, 255, 0])),
        [5, 0x39, 0x00]
    );
}

#[test]
fn only_three_pages_and_no_subpages() {
    let rig = rig();
    for code in 0..0x3F {
        let answer = rig.send(0, &[0x1A, 8, code, 0, 255, 0]);
        if [0x01, 0x08, 0x0A].contains(&code) {
            assert_eq!(data(answer)[4], code);
            assert_eq!(blamed(rig.send(0, &[0x1A, 8, code, 1, 255, 0])), (3, None));
        } else {
            assert_eq!(blamed(answer), (2, Some(5)), "page {code:#04x}");
        }
    }
    assert_eq!(blamed(rig.send(0, &[0x1A, 8, 0x3F, 1, 255, 0])), (3, None));
}

#[test]
fn a_medium_beyond_32_bits_comes_up_with_descriptor_sense() {
    let rig = rig();
    assert_eq!(rig.target.sense_form(Lun::peripheral(0)), SenseForm::Fixed);
    for lun in [1, 5] {
        assert_eq!(
            rig.target.sense_form(Lun::peripheral(lun)),
            SenseForm::Descriptor
        );
        assert_eq!(rig.data(lun, &[0x1A, 8, 0x0A, 0, 255, 0])[6], 0x04);
        assert_eq!(rig.data(lun, &[0x1A, 8, 0x8A, 0, 255, 0])[6], 0x04);
    }
}

#[test]
fn d_sense_and_swp_can_be_changed_and_are_told() {
    let rig = rig();
    let list = [&[0, 0, 0, 0], control(0x04, 0x08).as_slice()].concat();
    let select = [0x15, 0x10, 0, 0, 16, 0];
    assert_eq!(rig.send_with(&rig.first, &select, &list), Outcome::Good);
    assert_eq!(
        rig.target.sense_form(Lun::peripheral(0)),
        SenseForm::Descriptor
    );
    assert_eq!(
        rig.data(0, &[0x1A, 8, 0x0A, 0, 255, 0])[4..],
        control(0x04, 0x08)
    );
    assert_eq!(rig.data(0, &[0x1A, 8, 0x8A, 0, 255, 0])[4..], CONTROL);
    // Other nexuses hear of it, once; the same values again are no change.
    assert_eq!(sense(rig.send_second(0, &READY)), [6, 0x2A, 0x01]);
    assert_eq!(rig.send_with(&rig.first, &select, &list), Outcome::Good);
    assert_eq!(rig.send_second(0, &READY), Outcome::Good);
    assert_eq!(rig.send(0, &READY), Outcome::Good);
    // Protected with SWP as without.
    assert_eq!(rig.data(0, &[0x1A, 0, 0x3F, 0, 4, 0])[2], 0x80);
    rig.target.reset_unit(Lun::peripheral(0));
    assert_eq!(rig.target.sense_form(Lun::peripheral(0)), SenseForm::Fixed);
}

#[test]
fn mode_select_10_takes_what_mode_sense_10_gives() {
    let rig = rig();
    for sent in [0x00, 0x10] {
        let mut list = rig.data(0, &[0x5A, sent, 0x3F, 0, 0, 0, 0, 1, 0, 0]);
        list[..2].fill(0);
        let length = list.len() as u8;
        let select = [0x55, 0x10, 0, 0, 0, 0, 0, 0, length, 0];
        assert_eq!(rig.send_with(&rig.first, &select, &list), Outcome::Good);
    }
}

#[test]
fn anything_else_in_the_list_is_refused_where_it_stands() {
    let rig = rig();
    let select = |list: &[u8]| {
        let command = [0x15, 0x10, 0, 0, list.len() as u8, 0];
        let bytes = sense_bytes(rig.send_with(&rig.first, &command, list));
        assert_eq!([bytes[2], bytes[12], bytes[13]], [5, 0x26, 0x00]);
        assert_eq!(bytes[15], 0x80);
        u16::from_be_bytes([bytes[16], bytes[17]])
    };
    let with = |page: &[u8]| [&[0, 0, 0, 0], page].concat();
    // Write cache on; a page that is not there; a subpage; another length; other blocks.
    let mut caching = CACHING;
    caching[2] = 0x04;
    assert_eq!(select(&with(&caching)), 6);
    assert_eq!(
        select(&with(&[0x1C, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        4
    );
    assert_eq!(select(&with(&[0x4A, 0x01, 0, 0])), 4);
    assert_eq!(select(&with(&[0x0A, 0x00])), 5);
    assert_eq!(select(&[0, 0, 0, 8, 0, 0, 9, 0, 0, 0, 2, 0]), 6);
    assert_eq!(select(&[0, 0, 0, 4, 0, 0, 8, 0]), 3);
    // Nothing of a refused list is done, even if its first page was good.
    let two = [&[0, 0, 0, 0], control(0x04, 0).as_slice(), &caching].concat();
    assert_eq!(select(&two), 18);
    assert_eq!(rig.target.sense_form(Lun::peripheral(0)), SenseForm::Fixed);
}

#[test]
fn lists_that_end_early_and_commands_without_a_list() {
    let rig = rig();
    let early = [5, 0x1A, 0x00];
    let select =
        |list: &[u8]| rig.send_with(&rig.first, &[0x15, 0x10, 0, 0, list.len() as u8, 0], list);
    assert_eq!(sense(select(&[0, 0, 0])), early);
    assert_eq!(sense(select(&[0, 0, 0, 8, 0])), early);
    assert_eq!(sense(select(&[0, 0, 0, 0, 0x0A])), early);
    assert_eq!(sense(select(&[0, 0, 0, 0, 0x0A, 0x0A, 0])), early);
    assert_eq!(select(&[0, 0, 0, 0]), Outcome::Good);
    assert_eq!(rig.send(0, &[0x15, 0x10, 0, 0, 0, 0]), Outcome::Good);
    // SP: nothing can be saved. PF zero: unknown format.
    assert_eq!(
        blamed(rig.send(0, &[0x15, 0x11, 0, 0, 16, 0])),
        (1, Some(0))
    );
    assert_eq!(
        blamed(rig.send(0, &[0x15, 0x00, 0, 0, 16, 0])),
        (1, Some(4))
    );
}
