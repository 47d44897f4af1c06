//! PERSISTENT RESERVE IN and OUT.

use super::*;

const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const WRITE: [u8; 10] = [0x2A, 0, 0, 0, 0, 0, 0, 0, 1, 0];

const REGISTER: u8 = 0x00;
const RESERVE: u8 = 0x01;
const RELEASE: u8 = 0x02;
const REGISTER_ANYWAY: u8 = 0x06;

/// The first session registers under 0xA1, the second under 0xB2.
pub(super) fn registered() -> Rig {
    let rig = rig();
    assert_eq!(rig.out(&rig.first, REGISTER, 0, 0, 0xA1), Outcome::Good);
    assert_eq!(
        rig.out(&rig.second, REGISTER_ANYWAY, 0, 99, 0xB2),
        Outcome::Good
    );
    rig
}

impl Rig {
    pub(super) fn out(
        &self,
        nexus: &Nexus,
        action: u8,
        kind: u8,
        key: u64,
        action_key: u64,
    ) -> Outcome {
        let mut list = [0; 24];
        list[..8].copy_from_slice(&key.to_be_bytes());
        list[8..16].copy_from_slice(&action_key.to_be_bytes());
        self.send_with(nexus, &[0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0], &list)
    }

    pub(super) fn prin(&self, action: u8) -> Vec<u8> {
        self.data(0, &[0x5E, action, 0, 0, 0, 0, 0, 0x20, 0, 0])
    }

    pub(super) fn attention(&self, nexus: &Nexus) -> [u8; 3] {
        sense(
            self.target
                .execute(nexus, Lun::peripheral(0), &cdb(&READY), None),
        )
    }
}

#[test]
fn keys_are_read_with_the_generation() {
    let rig = rig();
    assert_eq!(rig.prin(0), [0; 8]);
    assert_eq!(rig.out(&rig.first, REGISTER, 0, 0, 0xA1), Outcome::Good);
    assert_eq!(
        rig.prin(0),
        [0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0xA1]
    );
    // Another key than the registered one; then the right one, to change and to leave.
    assert_eq!(
        rig.out(&rig.first, REGISTER, 0, 1, 2),
        Outcome::ReservationConflict
    );
    assert_eq!(
        rig.out(&rig.second, REGISTER, 0, 1, 2),
        Outcome::ReservationConflict
    );
    assert_eq!(rig.out(&rig.first, REGISTER, 0, 0xA1, 0xA2), Outcome::Good);
    assert_eq!(rig.prin(0)[8..], [0, 0, 0, 0, 0, 0, 0, 0xA2]);
    assert_eq!(rig.out(&rig.first, REGISTER, 0, 0xA2, 0), Outcome::Good);
    assert_eq!(rig.prin(0), [0, 0, 0, 3, 0, 0, 0, 0]);
    // Nothing to take back: no change.
    assert_eq!(rig.out(&rig.first, REGISTER_ANYWAY, 0, 0, 0), Outcome::Good);
    assert_eq!(rig.prin(0)[3], 3);
}

#[test]
fn capabilities() {
    assert_eq!(rig().prin(2), [0, 8, 0, 0x80, 0xEA, 0x01, 0, 0]);
}

#[test]
fn reservation_of_each_type() {
    for (kind, reported) in [(1, 0xA1), (3, 0xA1), (5, 0xA1), (6, 0xA1), (7, 0), (8, 0)] {
        let rig = registered();
        assert_eq!(rig.prin(1), [0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(rig.out(&rig.first, RESERVE, kind, 0xA1, 0), Outcome::Good);
        assert_eq!(
            rig.prin(1),
            [
                0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, reported, 0, 0, 0, 0, 0, kind, 0, 0
            ]
        );
        // Asking again is no error for a holder, another type is a conflict.
        assert_eq!(rig.out(&rig.first, RESERVE, kind, 0xA1, 0), Outcome::Good);
        let other = if kind == 1 { 3 } else { 1 };
        assert_eq!(
            rig.out(&rig.first, RESERVE, other, 0xA1, 0),
            Outcome::ReservationConflict
        );
        let second = rig.out(&rig.second, RESERVE, kind, 0xB2, 0);
        let shared = matches!(kind, 7 | 8);
        assert_eq!(second == Outcome::Good, shared);
        assert_eq!(
            sense(rig.out(&rig.first, RELEASE, other, 0xA1, 0)),
            [5, 0x26, 0x04]
        );
        assert_eq!(rig.out(&rig.first, RELEASE, kind, 0xA1, 0), Outcome::Good);
        assert_eq!(rig.prin(1)[4..], [0, 0, 0, 0]);
        if kind >= 5 {
            assert_eq!(rig.attention(&rig.second), [6, 0x2A, 0x04]);
        }
        assert_eq!(rig.send_second(0, &READY), Outcome::Good);
    }
}

#[test]
fn exclusive_access_stops_reads_of_others() {
    let rig = registered();
    assert_eq!(rig.out(&rig.first, RESERVE, 3, 0xA1, 0), Outcome::Good);
    assert!(matches!(rig.send(0, &READ), Outcome::Read(_)));
    assert_eq!(rig.send_second(0, &READ), Outcome::ReservationConflict);
    assert_eq!(rig.send_second(0, &READY), Outcome::Good);
    assert_eq!(data(rig.send_second(0, &[0x25])).len(), 8);
    assert_eq!(sense(rig.send(0, &WRITE)), [7, 0x27, 0x00]);
}

#[test]
fn write_exclusive_lets_others_read() {
    let rig = registered();
    assert_eq!(rig.out(&rig.first, RESERVE, 1, 0xA1, 0), Outcome::Good);
    assert!(matches!(rig.send_second(0, &READ), Outcome::Read(_)));
    assert_eq!(rig.send_second(0, &WRITE), Outcome::ReservationConflict);
}

#[test]
fn the_old_reserve_conflicts_with_registrations() {
    let rig = registered();
    assert_eq!(rig.send(0, &[0x16]), Outcome::ReservationConflict);
    assert_eq!(rig.send(0, &[0x17]), Outcome::ReservationConflict);
    let rig = super::rig();
    assert_eq!(rig.send(0, &[0x16]), Outcome::Good);
    assert_eq!(
        rig.out(&rig.first, REGISTER, 0, 0, 1),
        Outcome::ReservationConflict
    );
    assert_eq!(
        rig.out(&rig.second, REGISTER, 0, 0, 1),
        Outcome::ReservationConflict
    );
}

#[test]
fn full_status_names_the_ports() {
    let rig = registered();
    assert_eq!(rig.out(&rig.second, RESERVE, 6, 0xB2, 0), Outcome::Good);
    let status = rig.prin(3);
    assert_eq!(status[..8], [0, 0, 0, 2, 0, 0, 0, 136]);
    let descriptor = |key, holder, kind, port: &[u8]| {
        let mut bytes = vec![
            0, 0, 0, 0, 0, 0, 0, key, 0, 0, 0, 0, holder, kind, 0, 0, 0, 0, 0, 1,
        ];
        bytes.extend([0, 0, 0, 44, 0x45, 0, 0, 40]);
        bytes.extend(port);
        bytes.resize(68, 0);
        bytes
    };
    assert_eq!(
        status[8..76],
        descriptor(0xA1, 0, 0, b"iqn.2026-11.test:host1,i,0x800000000001")
    );
    assert_eq!(
        status[76..],
        descriptor(0xB2, 1, 6, b"iqn.2026-11.test:host2,i,0x800000000002")
    );
}

#[test]
fn a_registration_outlives_its_session() {
    let rig = registered();
    assert_eq!(rig.out(&rig.first, RESERVE, 3, 0xA1, 0), Outcome::Good);
    rig.target.nexus_lost(&rig.first);
    rig.target.reset_unit(Lun::peripheral(0));
    assert_eq!(rig.attention(&rig.second), [6, 0x29, 0x03]);
    assert_eq!(rig.send_second(0, &READ), Outcome::ReservationConflict);
    let again = rig.target.attach(port(1)).unwrap();
    assert_eq!(rig.attention(&again), [6, 0x29, 0x00]);
    assert_eq!(rig.out(&again, RELEASE, 3, 0xA1, 0), Outcome::Good);
    assert!(matches!(rig.send_second(0, &READ), Outcome::Read(_)));
}

#[test]
fn fields_that_are_not_supported() {
    let rig = rig();
    let command = |kind, length| [0x5F, RESERVE, kind, 0, 0, 0, 0, 0, length, 0];
    assert_eq!(sense(rig.send(0, &command(1, 23))), [5, 0x1A, 0x00]);
    assert_eq!(blamed(rig.send(0, &command(0x11, 24))), (2, Some(7)));
    assert_eq!(blamed(rig.send(0, &command(2, 24))), (2, Some(3)));
    // Service actions that do not exist; REGISTER AND MOVE (07h) and REPLACE LOST RESERVATION (08h).
    for action in 4..0x20 {
        assert_eq!(blamed(rig.send(0, &[0x5E, action])), (1, Some(4)));
    }
    for action in 7..0x20 {
        assert_eq!(blamed(rig.send(0, &[0x5F, action])), (1, Some(4)));
    }
}

/// APTPL (bit 0) and ALL_TG_PT (bit 2) are refused by the two service actions that register and
/// ignored by the others; SPEC_I_PT (bit 3) is an invalid field with all of them.
#[test]
fn registrations_for_other_ports_or_beyond_a_power_loss() {
    let send = |rig: &Rig, action, bit: u8| {
        let mut list = [0; 24];
        (list[7], list[15], list[20]) = (0xA1, 0xA1, 1 << bit);
        let kind = if action == 1 { 3 } else { 0 };
        let command = [0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0];
        rig.send_with(&rig.first, &command, &list)
    };
    for (action, bit) in (0..=6).flat_map(|action| [0, 2, 3].map(|bit| (action, bit))) {
        let rig = registered();
        let outcome = send(&rig, action, bit);
        if bit == 3 || [0, 6].contains(&action) {
            let bytes = sense_bytes(outcome);
            assert_eq!([bytes[2], bytes[12], bytes[13]], [5, 0x26, 0x00]);
            assert_eq!(bytes[15..], [0x88 | bit, 0, 20]);
            assert_eq!(rig.prin(0)[3], 2, "action {action}: nothing was changed");
        } else {
            assert_eq!(outcome, Outcome::Good, "action {action}, bit {bit}");
        }
    }
}

#[test]
fn registrations_are_bounded() {
    let rig = rig();
    for number in 1..=65 {
        let nexus = rig.target.attach(port(number)).unwrap();
        assert_eq!(rig.attention(&nexus), [6, 0x29, 0x00]);
        let outcome = rig.out(&nexus, REGISTER, 0, 0, u64::from(number));
        if number <= 64 {
            assert_eq!(outcome, Outcome::Good);
        } else {
            assert_eq!(sense(outcome), [5, 0x55, 0x04]);
        }
        rig.target.nexus_lost(&nexus);
    }
}
