//! Unit attentions, resets and what else happens between nexuses.

use super::*;
use crate::scsi::{DuplicateUnit, TooManyNexuses};

#[test]
fn the_first_command_of_a_session_meets_a_unit_attention() {
    let rig = rig();
    let third = rig.target.attach(port(3)).unwrap();
    let send = |bytes: &[u8]| {
        rig.target
            .execute(&third, Lun::peripheral(0), &cdb(bytes), None)
    };
    // INQUIRY and REPORT LUNS neither report nor clear it.
    assert_eq!(data(send(&[0x12, 0, 0, 0, 5, 0])).len(), 5);
    assert_eq!(
        data(send(&[0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0])).len(),
        8
    );
    // An unknown command is told first.
    assert_eq!(sense(send(&[0xFF])), [5, 0x20, 0x00]);
    assert_eq!(
        sense(send(&[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0])),
        [6, 0x29, 0x00]
    );
    // Told once; from then on reads pass without the lock.
    assert!(!third.has_attention(0) && third.has_attention(1));
    assert!(matches!(
        send(&[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
        Outcome::Read(_)
    ));
    // Nobody else is concerned.
    assert_eq!(rig.send(0, &READY), Outcome::Good);
}

#[test]
fn request_sense_reports_and_clears() {
    let rig = rig();
    rig.target.reset_unit(Lun::peripheral(0));
    let reported = rig.data(0, &[0x03, 0, 0, 0, 18, 0]);
    assert_eq!(
        [reported[0], reported[2], reported[12], reported[13]],
        [0x70, 6, 0x29, 0x03]
    );
    assert_eq!(rig.send(0, &READY), Outcome::Good);
    assert_eq!(sense(rig.send_second(0, &READY)), [6, 0x29, 0x03]);
}

#[test]
fn a_unit_reset_concerns_one_unit_and_every_nexus() {
    let rig = rig();
    let counts = |lun| {
        (
            rig.first.aborts(Lun::peripheral(lun)),
            rig.second.aborts(Lun::peripheral(lun)),
        )
    };
    assert!(rig.target.reset_unit(Lun::peripheral(1)));
    assert!(!rig.target.reset_unit(Lun::peripheral(2)));
    assert_eq!((counts(0), counts(1)), ((0, 0), (1, 1)));
    assert_eq!(rig.send(0, &READY), Outcome::Good);
    assert_eq!(sense(rig.send(1, &READY)), [6, 0x29, 0x03]);
    assert_eq!(sense(rig.send_second(1, &READY)), [6, 0x29, 0x03]);
    assert_eq!(rig.send_second(1, &READY), Outcome::Good);
}

#[test]
fn a_target_reset_concerns_every_unit() {
    let rig = rig();
    rig.target.reset();
    for lun in [0, 1, 5, 255] {
        assert_eq!(rig.second.aborts(Lun::peripheral(lun)), 1);
        assert_eq!(sense(rig.send(lun, &READY)), [6, 0x29, 0x03]);
        assert_eq!(rig.send(lun, &READY), Outcome::Good);
    }
}

#[test]
fn a_cleared_task_set_is_told_to_the_others() {
    let rig = rig();
    assert!(rig.target.clear_task_set(&rig.first, Lun::peripheral(0)));
    assert!(
        !rig.target
            .clear_task_set(&rig.first, Lun::from_bytes([0xC1, 1, 0, 0, 0, 0, 0, 0]))
    );
    assert_eq!(rig.first.aborts(Lun::peripheral(0)), 1);
    assert_eq!(rig.send(0, &READY), Outcome::Good);
    assert_eq!(sense(rig.send_second(0, &READY)), [6, 0x2F, 0x00]);
}

#[test]
fn a_port_that_comes_back_is_a_new_nexus() {
    let rig = rig();
    rig.target.nexus_lost(&rig.first);
    let again = rig.target.attach(port(1)).unwrap();
    assert_ne!(again.id(), rig.first.id());
    let ready = |nexus| {
        rig.target
            .execute(nexus, Lun::peripheral(0), &cdb(&READY), None)
    };
    assert_eq!(sense(ready(&again)), [6, 0x29, 0x00]);
    // Reinstatement without a word of the loss: the old nexus is gone all the same.
    let third = rig.target.attach(port(1)).unwrap();
    rig.target.reset_unit(Lun::peripheral(0));
    assert_eq!(
        (
            third.aborts(Lun::peripheral(0)),
            again.aborts(Lun::peripheral(0))
        ),
        (1, 0)
    );
}

#[test]
fn nexuses_are_bounded_and_given_back() {
    let rig = rig();
    let more: Vec<_> = (3..=256)
        .map(|number| rig.target.attach(port(number)).unwrap())
        .collect();
    assert_eq!(rig.target.attach(port(257)).unwrap_err(), TooManyNexuses);
    // A port that reconnects needs no further place.
    assert!(rig.target.attach(port(256)).is_ok());
    rig.target.nexus_lost(&more[0]);
    assert!(rig.target.attach(port(257)).is_ok());
}

#[test]
fn two_hundred_sessions_read_255_disks() {
    let geometry = Geometry::new(BlockCount(8), BlockSize::B512).unwrap();
    let unit = |number| LogicalUnit::new(number, geometry, "x", u64::from(number));
    let target = Target::new(NAME, (0..255).map(unit).collect()).unwrap();
    let nexuses: Vec<_> = (1..=200)
        .map(|number| target.attach(port(number)).unwrap())
        .collect();
    let read = cdb(&[0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
    for (nexus, number) in nexuses
        .iter()
        .flat_map(|nexus| (0..255).map(move |number| (nexus, number)))
    {
        let lun = Lun::peripheral(number);
        let first = target.execute(nexus, lun, &read, None);
        assert_eq!(sense(first), [6, 0x29, 0x00]);
        let second = target.execute(nexus, lun, &read, None);
        assert!(matches!(second, Outcome::Read(_)));
    }
}

#[test]
fn a_unit_number_is_given_once() {
    let geometry = Geometry::new(BlockCount(1), BlockSize::B512).unwrap();
    let units = [4, 4]
        .map(|number| LogicalUnit::new(number, geometry, "x", 1))
        .to_vec();
    assert_eq!(Target::new(NAME, units).unwrap_err(), DuplicateUnit(4));
}
