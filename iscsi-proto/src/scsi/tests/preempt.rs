//! How registrations and reservations end.

use super::persistent::registered;
use super::*;

const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];

const REGISTER: u8 = 0x00;
const RESERVE: u8 = 0x01;
const CLEAR: u8 = 0x03;
const PREEMPT: u8 = 0x04;
const PREEMPT_AND_ABORT: u8 = 0x05;

#[test]
fn the_holder_that_leaves_ends_its_reservation() {
    for (kind, told) in [(1, false), (5, true)] {
        let rig = registered();
        assert_eq!(rig.out(&rig.first, RESERVE, kind, 0xA1, 0), Outcome::Good);
        assert_eq!(rig.out(&rig.first, REGISTER, 0, 0xA1, 0), Outcome::Good);
        assert_eq!(rig.prin(1)[7], 0);
        if told {
            assert_eq!(rig.attention(&rig.second), [6, 0x2A, 0x04]);
        }
        assert_eq!(rig.send_second(0, &READY), Outcome::Good);
    }
    // Where all hold it, it ends with the last.
    let rig = registered();
    assert_eq!(rig.out(&rig.first, RESERVE, 7, 0xA1, 0), Outcome::Good);
    assert_eq!(rig.out(&rig.first, REGISTER, 0, 0xA1, 0), Outcome::Good);
    assert_eq!(rig.prin(1)[7], 16);
    assert_eq!(rig.out(&rig.second, REGISTER, 0, 0xB2, 0), Outcome::Good);
    assert_eq!(rig.prin(1)[7], 0);
}

#[test]
fn clear_removes_everything_and_tells() {
    let rig = registered();
    assert_eq!(rig.out(&rig.second, RESERVE, 3, 0xB2, 0), Outcome::Good);
    assert_eq!(
        rig.out(&rig.first, CLEAR, 0, 1, 0),
        Outcome::ReservationConflict
    );
    assert_eq!(rig.out(&rig.first, CLEAR, 0, 0xA1, 0), Outcome::Good);
    assert_eq!(rig.prin(0), [0, 0, 0, 3, 0, 0, 0, 0]);
    assert_eq!(rig.prin(1)[7], 0);
    assert_eq!(rig.attention(&rig.second), [6, 0x2A, 0x03]);
    assert!(matches!(rig.send(0, &READ), Outcome::Read(_)));
}

#[test]
fn preempt_takes_the_reservation_over() {
    let rig = registered();
    assert_eq!(rig.out(&rig.first, RESERVE, 5, 0xA1, 0), Outcome::Good);
    assert_eq!(rig.out(&rig.second, PREEMPT, 3, 0xB2, 0xA1), Outcome::Good);
    assert_eq!(rig.attention(&rig.first), [6, 0x2A, 0x05]);
    assert_eq!(
        rig.prin(0),
        [0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0xB2]
    );
    assert_eq!(
        rig.prin(1)[8..],
        [0, 0, 0, 0, 0, 0, 0, 0xB2, 0, 0, 0, 0, 0, 3, 0, 0]
    );
    assert_eq!(rig.first.aborts(Lun::peripheral(0)), 0);
    assert_eq!(rig.send(0, &READ), Outcome::ReservationConflict);
}

#[test]
fn preempt_and_abort_ends_the_commands_of_the_preempted() {
    let rig = registered();
    assert_eq!(
        rig.out(&rig.second, PREEMPT_AND_ABORT, 1, 0xB2, 0xA1),
        Outcome::OthersAborted
    );
    assert_eq!(rig.first.aborts(Lun::peripheral(0)), 1);
    assert_eq!(rig.second.aborts(Lun::peripheral(0)), 0);
    assert_eq!(rig.first.aborts(Lun::peripheral(1)), 0);
    assert_eq!(rig.attention(&rig.first), [6, 0x2A, 0x05]);
    // Nothing was reserved, and nothing is.
    assert_eq!(rig.prin(1)[7], 0);
}

#[test]
fn preempt_needs_a_key_that_exists() {
    let rig = registered();
    assert_eq!(
        rig.out(&rig.second, PREEMPT, 1, 0xB2, 0xC3),
        Outcome::ReservationConflict
    );
    assert_eq!(
        rig.out(&rig.second, PREEMPT, 1, 0xA1, 0xB2),
        Outcome::ReservationConflict
    );
    assert_eq!(
        sense(rig.out(&rig.second, PREEMPT, 1, 0xB2, 0)),
        [5, 0x26, 0x00]
    );
    // Zero means all the others where all hold the reservation.
    assert_eq!(rig.out(&rig.first, RESERVE, 8, 0xA1, 0), Outcome::Good);
    assert_eq!(rig.out(&rig.second, PREEMPT, 1, 0xB2, 0), Outcome::Good);
    assert_eq!(rig.attention(&rig.first), [6, 0x2A, 0x05]);
    assert_eq!(rig.prin(0)[7..], [8, 0, 0, 0, 0, 0, 0, 0, 0xB2]);
    assert_eq!(rig.prin(1)[21], 1);
}

#[test]
fn a_bystander_is_told_of_a_preempted_reservation_of_another_type() {
    for (kind, told) in [(5, false), (6, true)] {
        let rig = registered();
        let third = rig.target.attach(port(3)).unwrap();
        assert_eq!(rig.attention(&third), [6, 0x29, 0x00]);
        assert_eq!(rig.out(&third, REGISTER, 0, 0, 0xC3), Outcome::Good);
        assert_eq!(rig.out(&rig.first, RESERVE, 5, 0xA1, 0), Outcome::Good);
        assert_eq!(
            rig.out(&rig.second, PREEMPT, kind, 0xB2, 0xA1),
            Outcome::Good
        );
        let ready = rig
            .target
            .execute(&third, Lun::peripheral(0), &cdb(&READY), None);
        if told {
            assert_eq!(sense(ready), [6, 0x2A, 0x04]);
        } else {
            assert_eq!(ready, Outcome::Good);
        }
        assert_eq!(rig.send_second(0, &READY), Outcome::Good);
    }
}
