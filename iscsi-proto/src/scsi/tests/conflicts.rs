//! Which commands a reservation of another nexus stops: the tables of SPC-2 (RESERVE), SPC-4 5.13 and
//! SBC-3 (persistent reservations), row by row.

use super::persistent::registered;
use super::*;

/// Does the command of another nexus conflict with RESERVE; with Write Exclusive; with Exclusive
/// Access?
#[rustfmt::skip] // One command, one line.
const TABLE: &[(&str, [bool; 3], &[u8])] = &[
    ("TEST UNIT READY",         [true,  false, false], &[0x00, 0, 0, 0, 0, 0]),
    ("REQUEST SENSE",           [false, false, false], &[0x03, 0, 0, 0, 18, 0]),
    ("FORMAT UNIT",             [true,  true,  true],  &[0x04, 0, 0, 0, 0, 0]),
    ("REASSIGN BLOCKS",         [true,  true,  true],  &[0x07, 0, 0, 0, 0, 0]),
    ("READ (6)",                [true,  false, true],  &[0x08, 0, 0, 0, 1, 0]),
    ("WRITE (6)",               [true,  true,  true],  &[0x0A, 0, 0, 0, 1, 0]),
    ("INQUIRY",                 [false, false, false], &[0x12, 0, 0, 0, 36, 0]),
    ("MODE SELECT (6)",         [true,  true,  true],  &[0x15, 0x10, 0, 0, 0, 0]),
    ("MODE SENSE (6)",          [true,  true,  true],  &[0x1A, 0, 0x3F, 0, 4, 0]),
    ("START STOP UNIT, START",  [false, false, false], &[0x1B, 0, 0, 0, 1, 0]),
    ("START STOP UNIT, stop",   [true,  true,  true],  &[0x1B, 0, 0, 0, 0, 0]),
    ("PREVENT ALLOW, allow",    [false, false, false], &[0x1E, 0, 0, 0, 0, 0]),
    ("PREVENT ALLOW, prevent",  [true,  true,  true],  &[0x1E, 0, 0, 0, 1, 0]),
    ("READ CAPACITY (10)",      [false, false, false], &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("READ (10)",               [true,  false, true],  &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("WRITE (10)",              [true,  true,  true],  &[0x2A, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("WRITE AND VERIFY (10)",   [true,  true,  true],  &[0x2E, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("VERIFY (10)",             [true,  false, true],  &[0x2F, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("PRE-FETCH (10)",          [true,  false, true],  &[0x34, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("SYNCHRONIZE CACHE (10)",  [true,  true,  true],  &[0x35, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("READ DEFECT DATA (10)",   [true,  false, true],  &[0x37, 0, 0, 0, 0, 0, 0, 0, 8, 0]),
    ("WRITE LONG (10)",         [true,  true,  true],  &[0x3F, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("WRITE SAME (10)",         [true,  true,  true],  &[0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ("UNMAP",                   [true,  true,  true],  &[0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0]),
    ("SANITIZE",                [true,  true,  true],  &[0x48, 2, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("MODE SELECT (10)",        [true,  true,  true],  &[0x55, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("MODE SENSE (10)",         [true,  true,  true],  &[0x5A, 0, 0x3F, 0, 0, 0, 0, 0, 8, 0]),
    ("PERSISTENT RESERVE IN",   [true,  false, false], &[0x5E, 0, 0, 0, 0, 0, 0, 0, 8, 0]),
    ("READ (16)",               [true,  false, true],  &[0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]),
    ("COMPARE AND WRITE",       [true,  true,  true],  &[0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]),
    ("ORWRITE (16)",            [true,  true,  true],  &[0x8B, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]),
    ("READ CAPACITY (16)",      [false, false, false], &[0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0]),
    ("GET LBA STATUS",          [true,  false, true],  &[0x9E, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0]),
    ("REPORT LUNS",             [false, false, false], &[0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]),
    ("REPORT SUPPORTED CODES",  [true,  false, true],  &[0xA3, 0x0C, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0]),
    ("REPORT SUPPORTED TMF",    [true,  false, true],  &[0xA3, 0x0D, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0]),
];

#[test]
fn another_nexus_holds_the_unit_by_reserve() {
    let rig = rig();
    assert_eq!(rig.send(0, &[0x16, 0, 0, 0, 0, 0]), Outcome::Good);
    for (name, [conflicts, _, _], command) in TABLE {
        let outcome = rig.send_second(0, command);
        assert_eq!(
            outcome == Outcome::ReservationConflict,
            *conflicts,
            "{name}"
        );
        assert_ne!(rig.send(0, command), Outcome::ReservationConflict, "{name}");
    }
}

/// Write Exclusive has types 1, 5 and 7, Exclusive Access 3, 6 and 8. The first four columns of the
/// standard's table: who is registered shares the access of types 5 to 8.
#[test]
fn another_nexus_holds_a_persistent_reservation() {
    for (kind, column) in [(1, 1), (5, 1), (7, 1), (3, 2), (6, 2), (8, 2)] {
        let rig = registered();
        let stranger = rig.target.attach(port(3)).unwrap();
        assert_eq!(rig.attention(&stranger), [6, 0x29, 0x00]);
        assert_eq!(rig.out(&rig.first, 1, kind, 0xA1, 0), Outcome::Good);
        for (name, conflicts, command) in TABLE {
            let send = |nexus| {
                let lun = Lun::peripheral(0);
                rig.target.execute(nexus, lun, &cdb(command), None)
            };
            let expected = [
                (&rig.first, false),
                (&rig.second, kind < 5 && conflicts[column]),
                (&stranger, conflicts[column]),
            ];
            for (nexus, conflict) in expected {
                let outcome = send(nexus);
                assert_eq!(
                    outcome == Outcome::ReservationConflict,
                    conflict,
                    "{name}, type {kind}, {}",
                    nexus.port().name
                );
            }
        }
    }
}

/// PERSISTENT RESERVE OUT of the nexuses that do not hold the reservation. Registering is always
/// allowed; the rest needs a registration, and RESERVE is the holder's.
#[test]
fn service_actions_while_another_nexus_holds_the_reservation() {
    for (action, registered_may) in [(1, false), (2, true), (3, true), (4, true), (5, true)] {
        let rig = registered();
        let stranger = rig.target.attach(port(3)).unwrap();
        assert_eq!(rig.attention(&stranger), [6, 0x29, 0x00]);
        assert_eq!(rig.out(&rig.first, 1, 3, 0xA1, 0), Outcome::Good);
        let kind = if action == 3 { 0 } else { 3 };
        let of_stranger = rig.out(&stranger, action, kind, 0, 0xA1);
        assert_eq!(of_stranger, Outcome::ReservationConflict, "{action}");
        let of_registered = rig.out(&rig.second, action, kind, 0xB2, 0xA1);
        let conflict = of_registered == Outcome::ReservationConflict;
        assert_eq!(!conflict, registered_may, "{action}");
    }
    let rig = registered();
    let stranger = rig.target.attach(port(3)).unwrap();
    assert_eq!(rig.attention(&stranger), [6, 0x29, 0x00]);
    assert_eq!(rig.out(&rig.first, 1, 3, 0xA1, 0), Outcome::Good);
    assert_eq!(rig.out(&stranger, 0, 0, 0, 0xC3), Outcome::Good);
    assert_eq!(rig.out(&stranger, 6, 0, 0, 0xC4), Outcome::Good);
}
