//! Every write ends in DATA PROTECT, WRITE PROTECTED, after the checks that come first.

use super::*;

/// One block, or the whole command where it names none, at an address in byte order.
fn writes() -> Vec<Vec<u8>> {
    let short = |opcode| vec![opcode, 0, 0, 0, 0, 1, 0, 0, 1, 0];
    let middle = |opcode| vec![opcode, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0];
    let long = |opcode| vec![opcode, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0];
    let mut writes = vec![
        vec![0x04, 0, 0, 0, 0, 0],
        vec![0x07, 0, 0, 0, 0, 0],
        vec![0x0A, 0, 0, 1, 1, 0],
        vec![0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0],
        vec![0x48, 0x01, 0, 0, 0, 0, 0, 0, 8, 0],
        vec![0x48, 0x02, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x48, 0x03, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x48, 0x1F, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x9F, 0x11, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0],
    ];
    writes.extend([0x2A, 0x2E, 0x3F, 0x41].map(short));
    writes.extend([0xAA, 0xAE].map(middle));
    writes.extend([0x89, 0x8A, 0x8B, 0x8E, 0x93].map(long));
    writes
}

#[test]
fn every_write_is_refused_as_write_protected() {
    let rig = rig();
    for command in writes() {
        assert_eq!(
            sense(rig.send(0, &command)),
            [7, 0x27, 0x00],
            "{command:02x?}"
        );
    }
}

#[test]
fn unmapping_and_comparing_flags_do_not_change_that() {
    let rig = rig();
    let protected = [7, 0x27, 0x00];
    assert_eq!(
        sense(rig.send(0, &[0x41, 0x08, 0, 0, 0, 0, 0, 0, 1, 0])),
        protected
    );
    assert_eq!(
        sense(rig.send(0, &[0x2E, 0x02, 0, 0, 0, 0, 0, 0, 1, 0])),
        protected
    );
    let same = [0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(sense(rig.send(0, &same)), protected);
}

#[test]
fn dpo_fua_and_protection_come_first() {
    let rig = rig();
    for opcode in [0x2A, 0x2E, 0xAA, 0xAE, 0x8A, 0x8B, 0x8E, 0x89, 0x41, 0x93] {
        // DPO, or ANCHOR in WRITE SAME, and the three bits of WRPROTECT.
        for bit in [4, 5, 6, 7] {
            let mut command = [0; 16];
            command[0] = opcode;
            command[1] = 1 << bit;
            assert_eq!(
                blamed(rig.send(0, &command)),
                (1, Some(bit)),
                "{opcode:#04x}"
            );
        }
    }
    for opcode in [0x2A, 0xAA, 0x8A, 0x8B, 0x89] {
        assert_eq!(
            blamed(rig.send(0, &[opcode, 0x08])),
            (1, Some(3)),
            "{opcode:#04x}"
        );
    }
}

#[test]
fn the_range_comes_first() {
    let rig = rig();
    let out = [5, 0x21, 0x00];
    assert_eq!(sense(rig.send(0, &[0x0A, 0, 8, 0, 1, 0])), out);
    for opcode in [0x2A, 0x2E, 0x41] {
        assert_eq!(
            sense(rig.send(0, &[opcode, 0, 0, 0, 7, 0xFF, 0, 0, 2, 0])),
            out
        );
    }
    for opcode in [0xAA, 0xAE] {
        assert_eq!(
            sense(rig.send(0, &[opcode, 0, 0, 0, 7, 0xFF, 0, 0, 0, 2, 0, 0])),
            out
        );
    }
    for opcode in [0x89, 0x8A, 0x8B, 0x8E, 0x93] {
        let command = [opcode, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(sense(rig.send(0, &command)), out, "{opcode:#04x}");
    }
    assert_eq!(sense(rig.send(0, &[0x3F, 0, 0, 0, 8, 0, 0, 2, 0, 0])), out);
}

#[test]
fn writing_nothing_is_no_write() {
    let rig = rig();
    for opcode in [0x2A, 0x2E, 0xAA, 0xAE, 0x89, 0x8A, 0x8B, 0x8E, 0x42] {
        assert_eq!(rig.send(0, &[opcode]), Outcome::Good, "{opcode:#04x}");
    }
    // In WRITE SAME it would mean the rest of the medium, which WSNZ excludes.
    assert_eq!(blamed(rig.send(0, &[0x41])), (7, None));
    assert_eq!(blamed(rig.send(0, &[0x93])), (10, None));
}

#[test]
fn commands_that_other_targets_were_broken_by_do_not_exist() {
    let rig = rig();
    // EXTENDED COPY, RECEIVE COPY RESULTS, READ BUFFER, WRITE BUFFER, LOG SELECT, LOG SENSE, SEND
    // DIAGNOSTIC, XDWRITEREAD (bidirectional), READ LONG (10), variable length.
    for opcode in [
        0x83, 0x84, 0x3C, 0x3B, 0x4C, 0x4D, 0x1D, 0x53, 0x3E, 0x7F, 0x9C,
    ] {
        assert_eq!(
            sense(rig.send(0, &[opcode])),
            [5, 0x20, 0x00],
            "{opcode:#04x}"
        );
    }
}
