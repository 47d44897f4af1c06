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
fn sanitize_takes_a_pattern_of_one_byte_to_one_block() {
    let rig = rig();
    let overwrite = |lun, length: u16| {
        let [high, low] = length.to_be_bytes();
        rig.send(lun, &[0x48, 0x81, 0, 0, 0, 0, 0, high, low, 0])
    };
    for (lun, block) in [(0, 512), (1, 4096)] {
        for length in [5, 8, block + 4] {
            assert_eq!(sense(overwrite(lun, length)), [7, 0x27, 0x00], "{length}");
        }
        for length in [0, 1, 4, block + 5, 0xFFFF] {
            assert_eq!(blamed(overwrite(lun, length)), (7, None), "{length}");
        }
    }
    // BLOCK ERASE, CRYPTOGRAPHIC ERASE and EXIT FAILURE MODE have no parameter list.
    for action in [0x02, 0x03, 0x1F] {
        let with_list = [0x48, action, 0, 0, 0, 0, 0, 0, 8, 0];
        assert_eq!(blamed(rig.send(0, &with_list)), (8, Some(3)), "{action}");
    }
}

#[test]
fn formatting_with_protection_information_is_not_supported() {
    let rig = rig();
    for fmtpinfo in [0x40, 0x80, 0xC0] {
        let command = [0x04, fmtpinfo, 0, 0, 0, 0];
        assert_eq!(blamed(rig.send(0, &command)), (1, Some(7)));
    }
    // FMTDATA, CMPLST, LONGLIST and every defect list format end as the plain command does.
    let command = [0x04, 0x3F, 0, 0, 0x01, 0];
    assert_eq!(sense(rig.send(0, &command)), [7, 0x27, 0x00]);
}

/// Commands that other targets were broken by, and those of feature sets that this one has not.
#[test]
fn commands_that_do_not_exist() {
    let rig = rig();
    let refused: [(&str, &[u8]); 16] = [
        ("EXTENDED COPY, POPULATE TOKEN, WRITE USING TOKEN", &[0x83]),
        ("RECEIVE COPY RESULTS, RECEIVE ROD TOKEN", &[0x84]),
        ("READ BUFFER, WRITE BUFFER", &[0x3C, 0x3B, 0x9B]),
        ("LOG SELECT, LOG SENSE", &[0x4C, 0x4D]),
        ("SEND DIAGNOSTIC, RECEIVE DIAGNOSTIC", &[0x1D, 0x1C]),
        ("SECURITY PROTOCOL IN and OUT", &[0xA2, 0xB5]),
        ("ATA PASS-THROUGH (16), (12)", &[0x85, 0xA1]),
        ("ACCESS CONTROL IN and OUT", &[0x86, 0x87]),
        ("READ and WRITE ATTRIBUTE", &[0x8C, 0x8D]),
        ("READ LONG (10)", &[0x3E]),
        (
            "XDWRITE, XPWRITE, XDREAD, XDWRITEREAD",
            &[0x50, 0x51, 0x52, 0x53],
        ),
        ("variable length: type 2 protection, XOR", &[0x7F]),
        ("WRITE ATOMIC, WRITE STREAM (SBC-4)", &[0x9C, 0x9A]),
        ("MAINTENANCE OUT", &[0xA4]),
        ("zones (ZBC)", &[0x94, 0x95]),
        (
            "REZERO UNIT, SEEK, COPY, CHANGE DEFINITION",
            &[0x01, 0x0B, 0x2B, 0x18, 0x40],
        ),
    ];
    for (names, opcodes) in refused {
        for opcode in opcodes {
            assert_eq!(sense(rig.send(0, &[*opcode])), [5, 0x20, 0x00], "{names}");
        }
    }
    // READ LONG (16), REPORT REFERRALS; REPORT TARGET PORT GROUPS, REPORT TIMESTAMP.
    for (opcode, action) in [(0x9E, 0x11), (0x9E, 0x13), (0xA3, 0x0A), (0xA3, 0x0F)] {
        assert_eq!(blamed(rig.send(0, &[opcode, action])), (1, Some(4)));
    }
}
