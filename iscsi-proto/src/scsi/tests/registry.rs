//! REPORT SUPPORTED OPERATION CODES agrees with what is done, and no descriptor block does harm.

use super::*;

/// Operation code, service action if any, and whether SERVACTV was set.
fn reported(rig: &Rig) -> Vec<(u8, u8, bool, usize)> {
    let data = rig.data(0, &[0xA3, 0x0C, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0]);
    let length = u32::from_be_bytes([data[0], data[1], data[2], data[3]]) as usize;
    assert_eq!(length + 4, data.len());
    let entry = |d: &[u8]| (d[0], d[3], d[5] & 1 != 0, usize::from(d[7]));
    data[4..].chunks(8).map(entry).collect()
}

/// One command's data.
fn one(rig: &Rig, options: u8, opcode: u8, action: u8) -> Outcome {
    rig.send(
        0,
        &[0xA3, 0x0C, options, opcode, 0, action, 0, 0, 0x40, 0, 0, 0],
    )
}

#[test]
fn all_commands_are_listed_once_ascending() {
    let rig = rig();
    let list = reported(&rig);
    assert!(list.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)));
    for wanted in [0x00, 0x03, 0x08, 0x12, 0x25, 0x28, 0x88, 0xA0, 0xA8] {
        assert!(list.iter().any(|known| known.0 == wanted), "{wanted:#04x}");
    }
    let capacity = (0x9E, 0x10, true, 16);
    assert!(list.contains(&capacity));
    assert!(
        list.iter()
            .all(|(_, action, has_actions, _)| *has_actions || *action == 0)
    );
}

#[test]
fn the_list_agrees_with_execute_for_every_code_and_action() {
    let rig = rig();
    let list = reported(&rig);
    for opcode in 0..=255 {
        for action in 0..0x20 {
            let known = list
                .iter()
                .any(|entry| entry.0 == opcode && (!entry.2 || entry.1 == action));
            let any = list.iter().any(|entry| entry.0 == opcode);
            let outcome = rig.send(0, &[opcode, action]);
            let unknown_code = is(&outcome, [5, 0x20, 0x00]);
            let bytes = match &outcome {
                Outcome::CheckCondition(sense) => sense.encode(SenseForm::Fixed),
                _ => vec![0; 18],
            };
            let unknown_action =
                any && is(&outcome, [5, 0x24, 0x00]) && bytes[15..] == [0xCC, 0, 1];
            assert_eq!(unknown_code, !any, "{opcode:#04x}/{action:#04x}");
            if any && list.iter().any(|entry| entry.0 == opcode && entry.2) {
                assert_eq!(unknown_action, !known, "{opcode:#04x}/{action:#04x}");
            }
            // Reservations made on the way would hide the rest.
            rig.send(0, &[0x17]);
        }
    }
}

fn is(outcome: &Outcome, codes: [u8; 3]) -> bool {
    matches!(outcome, Outcome::CheckCondition(_)) && sense(outcome.clone()) == codes
}

#[test]
fn one_command_by_code_or_by_service_action() {
    let rig = rig();
    assert_eq!(
        data(one(&rig, 1, 0x28, 0)),
        [
            0, 3, 0, 10, 0x28, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0
        ]
    );
    assert_eq!(
        data(one(&rig, 2, 0xA3, 0x0C)),
        [
            0, 3, 0, 12, 0xA3, 0x0C, 0x87, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0
        ]
    );
    for (opcode, action, has_actions, length) in reported(&rig) {
        let (right, wrong) = if has_actions { (2, 1) } else { (1, 2) };
        let data = data(one(&rig, right, opcode, action));
        assert_eq!(
            (data[1], usize::from(data[3]), data[4]),
            (3, length, opcode)
        );
        assert_eq!(data.len(), length + 4);
        assert_eq!(blamed(one(&rig, wrong, opcode, action)), (2, Some(2)));
        assert_eq!(super::data(one(&rig, 3, opcode, action)), data);
    }
}

#[test]
fn what_is_not_supported_says_so() {
    let rig = rig();
    for (options, opcode, action) in [
        (1, 0x83, 0),
        (2, 0x84, 3),
        (3, 0x83, 0),
        (2, 0x9E, 0x17),
        (3, 0xA3, 0x0A),
        (3, 0x28, 1),
    ] {
        assert_eq!(
            data(one(&rig, options, opcode, action)),
            [0, 1, 0, 0],
            "{opcode:#04x}"
        );
    }
    for options in [4, 5, 6, 7] {
        assert_eq!(blamed(one(&rig, options, 0x28, 0)), (2, Some(2)));
    }
}

#[test]
fn timeouts_are_given_on_request() {
    let rig = rig();
    let read = data(one(&rig, 0x81, 0x28, 0));
    assert_eq!(read[..4], [0, 0x83, 0, 10]);
    assert_eq!(read[14..], [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 120]);
    let ready = data(one(&rig, 0x81, 0x00, 0));
    assert_eq!(ready[10..], [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
    let all = data(one(&rig, 0x80, 0, 0));
    assert_eq!(all.len() - 4, reported(&rig).len() * 20);
    assert!(
        all[4..]
            .chunks(20)
            .all(|entry| entry[5] & 2 != 0 && entry[8..10] == [0, 10])
    );
}

/// A bit that the usage map does not have is refused; one that it has is not refused as reserved.
#[test]
fn usage_maps_tell_which_bits_are_looked_at() {
    let rig = rig();
    for (opcode, action, has_actions, length) in reported(&rig) {
        let options = if has_actions { 2 } else { 1 };
        let usage = data(one(&rig, options, opcode, action))[4..].to_vec();
        for (at, bit) in (1..length).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mask = 1 << bit;
            let exempt = if has_actions {
                0x1F
            } else if length == 6 {
                0xE0
            } else {
                0
            };
            if usage[at] & mask != 0 || (at == 1 && exempt & mask != 0) {
                continue;
            }
            let mut command = vec![0; length];
            command[0] = opcode;
            command[1] = action;
            command[at] |= mask;
            let outcome = rig.send(0, &command);
            assert_eq!(blamed(outcome), (at as u16, Some(bit)), "{command:02x?}");
        }
    }
}

/// xorshift64*: the same commands in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

/// Whatever 16 bytes and whatever data come: an answer within the limits, never a panic.
#[test]
fn no_command_does_harm() {
    let rig = rig();
    let mut noise = Noise(0x1BAD_B002);
    for round in 0..200_000_u32 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&noise.next().to_be_bytes());
        bytes[8..].copy_from_slice(&noise.next().to_be_bytes());
        // Half of them sparse, so that they get past the reserved bits.
        if round % 2 == 0 {
            let keep = noise.next() as u16 & noise.next() as u16;
            (1..16)
                .filter(|at| keep >> at & 1 == 0)
                .for_each(|at| bytes[at] = 0);
        }
        let lun = Lun::peripheral([0, 1, 5, 9][noise.next() as usize % 4]);
        let mut outcome = rig
            .target
            .execute(&rig.first, lun, &Cdb::parse(&bytes), None);
        if let Outcome::NeedData(length) = outcome {
            assert!(length > 0 && length <= 1 << 20);
            let length = (noise.next() as usize % 3 + length as usize).saturating_sub(1);
            let data: Vec<u8> = (0..length).map(|_| noise.next() as u8 & 0x0F).collect();
            outcome = rig
                .target
                .execute(&rig.first, lun, &Cdb::parse(&bytes), Some(&data));
        }
        match outcome {
            Outcome::Read(range) | Outcome::Check(range) => {
                assert!(!range.is_empty() && range.len() <= 16 << 20);
            }
            Outcome::Compare(comparison) => assert!(!comparison.range().is_empty()),
            Outcome::Data(data) => assert!(data.len() <= 0x2000),
            Outcome::CheckCondition(sense) => {
                assert_eq!(sense.encode(SenseForm::Fixed).len(), 18);
                assert!(sense.encode(SenseForm::Descriptor).len() <= 28);
            }
            Outcome::Good | Outcome::OthersAborted | Outcome::ReservationConflict => {}
            Outcome::NeedData(_) => panic!("asked for data twice: {bytes:02x?}"),
        }
    }
}
