//! REPORT LUNS, REQUEST SENSE and the commands that only say that all is well.

use super::*;

#[test]
fn report_luns() {
    let rig = rig();
    let unit = |number| [0, number, 0, 0, 0, 0, 0, 0];
    let expected = [
        [0, 0, 0, 32, 0, 0, 0, 0],
        unit(0),
        unit(1),
        unit(5),
        unit(255),
    ]
    .concat();
    for select in [0, 2] {
        let command = [0xA0, 0, select, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(rig.data(0, &command), expected);
        assert_eq!(rig.data(255, &command), expected);
    }
    // Well known units only: none.
    assert_eq!(
        rig.data(0, &[0xA0, 0, 1, 0, 0, 0, 0, 0, 0, 16, 0, 0]),
        [0; 8]
    );
    assert_eq!(
        blamed(rig.send(0, &[0xA0, 0, 3, 0, 0, 0, 0, 0, 0, 16, 0, 0])),
        (2, None)
    );
    // Cut: the length still tells how much there is.
    assert_eq!(
        rig.data(0, &[0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0]),
        [0, 0, 0, 32]
    );
}

#[test]
fn unit_0_answers_even_if_absent() {
    let geometry = Geometry::new(BlockCount(1), BlockSize::B512).unwrap();
    let target = Target::new(NAME, vec![LogicalUnit::new(3, geometry, "x", 1)]).unwrap();
    let nexus = target.attach(port(1)).unwrap();
    let send = |lun, bytes: &[u8]| target.execute(&nexus, Lun::peripheral(lun), &cdb(bytes), None);
    let luns = [0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0];
    assert_eq!(
        data(send(0, &luns)),
        [0, 0, 0, 8, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(data(send(0, &[0x12, 0, 0, 0, 36, 0]))[0], 0x7F);
    assert_eq!(sense(send(0, &READY)), [5, 0x25, 0x00]);
    assert_eq!(sense(send(1, &luns)), [5, 0x25, 0x00]);
}

#[test]
fn other_addressing_reaches_no_unit() {
    let rig = rig();
    for bytes in [
        [0x40, 1, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 1, 0, 0, 0, 0],
    ] {
        let outcome = rig
            .target
            .execute(&rig.first, Lun::from_bytes(bytes), &cdb(&READY), None);
        assert_eq!(sense(outcome), [5, 0x25, 0x00]);
    }
}

#[test]
fn request_sense_in_both_forms() {
    let rig = rig();
    let fixed = [0x70, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(rig.data(0, &[0x03, 0, 0, 0, 252, 0]), fixed);
    assert_eq!(
        rig.data(0, &[0x03, 1, 0, 0, 252, 0]),
        [0x72, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(rig.data(0, &[0x03, 0, 0, 0, 4, 0]), [0x70, 0, 0, 0]);
    let absent = rig.data(9, &[0x03, 0, 0, 0, 252, 0]);
    assert_eq!([absent[2], absent[12], absent[13]], [5, 0x25, 0x00]);
}

#[test]
fn the_medium_is_there_and_stays() {
    let rig = rig();
    assert_eq!(rig.send(0, &READY), Outcome::Good);
    // START, with and without IMMED; stopping, ejecting and power conditions are refused.
    assert_eq!(rig.send(0, &[0x1B, 0, 0, 0, 1, 0]), Outcome::Good);
    assert_eq!(rig.send(0, &[0x1B, 1, 0, 0, 1, 0]), Outcome::Good);
    assert_eq!(blamed(rig.send(0, &[0x1B, 0, 0, 0, 0, 0])), (4, Some(0)));
    assert_eq!(blamed(rig.send(0, &[0x1B, 0, 0, 0, 3, 0])), (4, Some(1)));
    assert_eq!(blamed(rig.send(0, &[0x1B, 0, 0, 0, 0x31, 0])), (4, Some(5)));
    assert_eq!(rig.send(0, &[0x1E, 0, 0, 0, 1, 0]), Outcome::Good);
    assert_eq!(rig.send(0, &[0x1E, 0, 0, 0, 0, 0]), Outcome::Good);
    assert_eq!(blamed(rig.send(0, &[0x1E, 0, 0, 0, 2, 0])), (4, Some(1)));
}

#[test]
fn naca_links_and_reserved_bits_are_refused() {
    let rig = rig();
    for bit in 0..8 {
        assert_eq!(
            blamed(rig.send(0, &[0, 0, 0, 0, 0, 1 << bit])),
            (5, Some(bit))
        );
        assert_eq!(
            blamed(rig.send(0, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 1 << bit])),
            (9, Some(bit))
        );
    }
    assert_eq!(
        blamed(rig.send(0, &[0x28, 0, 0, 0, 0, 0, 0x20, 0, 1, 0])),
        (6, Some(5))
    );
    // What lies behind the descriptor block is not looked at.
    let mut command = [0xFF; 16];
    command[..6].copy_from_slice(&READY);
    assert_eq!(rig.send(0, &command), Outcome::Good);
}

#[test]
fn task_management_functions() {
    let rig = rig();
    let command = [0xA3, 0x0D, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0];
    assert_eq!(rig.data(0, &command), [0xDA, 0, 0, 0]);
    let extended = [0xA3, 0x0D, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0];
    assert_eq!(
        rig.data(0, &extended),
        [0xDA, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
}
