//! RESERVE and RELEASE of SPC-2.

use super::*;

const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
const RELEASE: [u8; 6] = [0x17, 0, 0, 0, 0, 0];
const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];

#[test]
fn a_reserved_unit_conflicts_with_the_others() {
    let rig = rig();
    assert_eq!(rig.send(0, &RESERVE), Outcome::Good);
    assert_eq!(rig.send(0, &RESERVE), Outcome::Good);
    assert!(matches!(rig.send(0, &READ), Outcome::Read(_)));
    for command in [
        &READ[..],
        &READY,
        &RESERVE,
        &[0x1A, 0, 0x3F, 0, 255, 0],
        &[0x2A],
        &[0x56],
    ] {
        assert_eq!(
            rig.send_second(0, command),
            Outcome::ReservationConflict,
            "{command:02x?}"
        );
    }
    // These are answered in any case, and another's RELEASE does nothing.
    assert_eq!(data(rig.send_second(0, &[0x12, 0, 0, 0, 5, 0])).len(), 5);
    assert_eq!(data(rig.send_second(0, &[0x03, 0, 0, 0, 18, 0])).len(), 18);
    assert_eq!(
        data(rig.send_second(0, &[0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0])).len(),
        8
    );
    assert_eq!(rig.send_second(0, &RELEASE), Outcome::Good);
    assert_eq!(rig.send_second(0, &READ), Outcome::ReservationConflict);
    // The other units are free.
    assert!(matches!(rig.send_second(255, &READ), Outcome::Read(_)));
    assert_eq!(rig.send(0, &RELEASE), Outcome::Good);
    assert!(matches!(rig.send_second(0, &READ), Outcome::Read(_)));
}

#[test]
fn the_long_commands_do_the_same() {
    let rig = rig();
    assert_eq!(
        rig.send(0, &[0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Outcome::Good
    );
    assert_eq!(rig.send_second(0, &READY), Outcome::ReservationConflict);
    assert_eq!(
        rig.send(0, &[0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Outcome::Good
    );
    assert_eq!(rig.send_second(0, &READY), Outcome::Good);
    // Third party and extent reservations are gone from the standard.
    assert_eq!(blamed(rig.send(0, &[0x56, 0x10])), (1, Some(4)));
    assert_eq!(blamed(rig.send(0, &[0x16, 0x01])), (1, Some(0)));
}

#[test]
fn reset_and_loss_of_the_nexus_release() {
    let rig = rig();
    assert_eq!(rig.send(0, &RESERVE), Outcome::Good);
    rig.target.reset_unit(Lun::peripheral(0));
    assert_eq!(sense(rig.send_second(0, &READY)), [6, 0x29, 0x03]);
    assert!(matches!(rig.send_second(0, &READ), Outcome::Read(_)));
    assert_eq!(sense(rig.send(0, &READY)), [6, 0x29, 0x03]);
    assert_eq!(rig.send(0, &RESERVE), Outcome::Good);
    rig.target.nexus_lost(&rig.first);
    assert!(matches!(rig.send_second(0, &READ), Outcome::Read(_)));
}

#[test]
fn a_unit_attention_comes_before_the_conflict() {
    let rig = rig();
    assert_eq!(rig.send(0, &RESERVE), Outcome::Good);
    let third = rig.target.attach(port(3)).unwrap();
    let ready = || {
        rig.target
            .execute(&third, Lun::peripheral(0), &cdb(&READY), None)
    };
    assert_eq!(sense(ready()), [6, 0x29, 0x00]);
    assert_eq!(ready(), Outcome::ReservationConflict);
}

#[test]
fn a_lost_nexus_reserves_nothing() {
    let rig = rig();
    rig.target.nexus_lost(&rig.first);
    assert_eq!(rig.send(0, &RESERVE), Outcome::ReservationConflict);
    assert_eq!(rig.send_second(0, &RESERVE), Outcome::Good);
}
