//! Commands that name blocks and read them or say something about them.

use super::*;
use crate::blocks::{BlockRange, ByteOffset, Lba};

/// First block, number of blocks, byte offset, bytes.
fn read(outcome: Outcome) -> (u64, u64, u64, u64) {
    match outcome {
        Outcome::Read(range) => parts(range),
        other => panic!("no read: {other:?}"),
    }
}

fn parts(range: BlockRange) -> (u64, u64, u64, u64) {
    let ByteOffset(offset) = range.offset();
    (range.first().0, range.count().0, offset, range.len())
}

#[test]
fn read_6_takes_21_bits_and_zero_for_256() {
    let rig = rig();
    assert_eq!(
        read(rig.send(0, &[0x08, 0, 0, 7, 3, 0])),
        (7, 3, 3584, 1536)
    );
    assert_eq!(
        read(rig.send(0, &[0x08, 0, 1, 0, 0, 0])),
        (256, 256, 131_072, 131_072)
    );
    // The old LUN bits are ignored.
    assert_eq!(
        read(rig.send(1, &[0x08, 0xFF, 0xFF, 0xFF, 1, 0])).0,
        0x1F_FFFF
    );
    assert_eq!(
        sense(rig.send(0, &[0x08, 0, 0x08, 0, 1, 0])),
        [5, 0x21, 0x00]
    );
}

#[test]
fn read_10_12_16() {
    let rig = rig();
    let long = [
        0x88, 0, 0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0, 0, 16, 0, 0,
    ];
    assert_eq!(
        read(rig.send(0, &[0x28, 0, 0, 0, 7, 0xFF, 0, 0, 1, 0])),
        (2047, 1, 1_048_064, 512)
    );
    assert_eq!(
        read(rig.send(0, &[0xA8, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0])),
        (1, 2, 512, 1024)
    );
    let last = (0x3_FFFF_FFF0, 16, 0x3FFF_FFFF_0000, 65536);
    assert_eq!(read(rig.send(1, &long)), last);
    // A group number is no matter.
    assert_eq!(
        read(rig.send(0, &[0x28, 0, 0, 0, 0, 0, 0x1F, 0, 8, 0])),
        (0, 8, 0, 4096)
    );
}

#[test]
fn nothing_to_read_is_good_on_the_medium_only() {
    let rig = rig();
    assert_eq!(
        rig.send(0, &[0x28, 0, 0, 0, 7, 0xFF, 0, 0, 0, 0]),
        Outcome::Good
    );
    for lba in [2048_u32, 2049, 0x8000_0000, 0xFFFF_FFFF] {
        let [a, b, c, d] = lba.to_be_bytes();
        assert_eq!(
            sense(rig.send(0, &[0x28, 0, a, b, c, d, 0, 0, 0, 0])),
            [5, 0x21, 0x00]
        );
    }
}

#[test]
fn a_range_off_the_medium_names_its_address() {
    let rig = rig();
    let sense = sense_bytes(rig.send(0, &[0x28, 0, 0, 0, 7, 0xFF, 0, 0, 2, 0]));
    assert_eq!(sense[..7], [0xF0, 0, 5, 0, 0, 7, 0xFF]);
    assert_eq!(sense[12..14], [0x21, 0x00]);
    let mut wrapping = [0xFF; 16];
    wrapping[..2].copy_from_slice(&[0x88, 0]);
    wrapping[14..].fill(0);
    match rig.send(0, &wrapping) {
        Outcome::CheckCondition(sense) => assert_eq!(
            sense.encode(SenseForm::Descriptor)[..20],
            [
                0x72, 5, 0x21, 0, 0, 0, 0, 12, 0, 10, 0x80, 0, 255, 255, 255, 255, 255, 255, 255,
                255
            ]
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_longer_than_the_limit_blames_its_length() {
    let rig = rig();
    assert_eq!(
        read(rig.send(5, &[0xA8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0])).3,
        16 << 20
    );
    assert_eq!(
        blamed(rig.send(5, &[0xA8, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0])),
        (6, None)
    );
    assert_eq!(
        blamed(rig.send(1, &[0x28, 0, 0, 0, 0, 0, 0, 0x10, 1, 0])),
        (7, None)
    );
}

#[test]
fn dpo_fua_and_protection_are_refused() {
    let rig = rig();
    for opcode in [0x28_u8, 0xA8, 0x88] {
        for bit in [3, 4, 5, 6, 7] {
            let mut bytes = [0_u8; 16];
            bytes[0] = opcode;
            bytes[1] = 1 << bit;
            assert_eq!(blamed(rig.send(0, &bytes)), (1, Some(bit)), "{opcode:#04x}");
        }
    }
}

#[test]
fn read_capacity_10() {
    let rig = rig();
    assert_eq!(rig.data(0, &[0x25]), [0, 0, 7, 0xFF, 0, 0, 2, 0]);
    assert_eq!(
        rig.data(1, &[0x25]),
        [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0x10, 0]
    );
    assert_eq!(rig.data(5, &[0x25]), [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 2, 0]);
    // PMI and an address are obsolete.
    assert_eq!(
        blamed(rig.send(0, &[0x25, 0, 0, 0, 0, 0, 0, 0, 1, 0])),
        (8, Some(0))
    );
}

#[test]
fn read_capacity_16() {
    let rig = rig();
    let mut command = [0; 16];
    command[..2].copy_from_slice(&[0x9E, 0x10]);
    command[13] = 32;
    let mut expected = [0; 32];
    expected[..12].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0]);
    assert_eq!(rig.data(5, &command), expected);
    for length in 0..32 {
        command[13] = length;
        assert_eq!(rig.data(1, &command).len(), usize::from(length));
    }
}

#[test]
fn verify_without_data_checks_the_medium() {
    let rig = rig();
    let checked = |outcome| match outcome {
        Outcome::Check(range) => parts(range),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        checked(rig.send(0, &[0x2F, 0, 0, 0, 0, 4, 0, 0, 8, 0])),
        (4, 8, 2048, 4096)
    );
    assert_eq!(
        checked(rig.send(0, &[0xAF, 0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0])).1,
        8
    );
    let long = [0x8F, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0];
    assert_eq!(checked(rig.send(0, &long)).0, 4);
    assert_eq!(
        rig.send(0, &[0x2F, 2, 0, 0, 0, 4, 0, 0, 0, 0]),
        Outcome::Good
    );
    assert_eq!(
        sense(rig.send(0, &[0x2F, 2, 0, 0, 8, 1, 0, 0, 0, 0])),
        [5, 0x21, 0x00]
    );
    assert_eq!(
        blamed(rig.send(0, &[0x2F, 0x10, 0, 0, 0, 0, 0, 0, 1, 0])),
        (1, Some(4))
    );
    assert_eq!(
        blamed(rig.send(0, &[0x2F, 0x04, 0, 0, 0, 0, 0, 0, 1, 0])),
        (1, Some(2))
    );
}

#[test]
fn verify_with_data_compares() {
    let rig = rig();
    let two_blocks = [0x2F, 0x02, 0, 0, 0, 4, 0, 0, 2, 0];
    let outcome = rig.send_with(&rig.first, &two_blocks, &[7; 1024]);
    let Outcome::Compare(comparison) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(parts(comparison.range()), (4, 2, 2048, 1024));
    let mut medium = [7; 1024];
    assert_eq!(comparison.compare(ByteOffset(2048), &medium), Ok(()));
    medium[1000] = 8;
    let miscompare = comparison.compare(ByteOffset(2048), &medium).unwrap_err();
    let bytes = miscompare.encode(SenseForm::Fixed);
    assert_eq!(
        [bytes[0], bytes[2], bytes[12], bytes[13]],
        [0xF0, 0x0E, 0x1D, 0x00]
    );
    assert_eq!(bytes[3..7], [0, 0, 0x03, 0xE8]);
    assert_eq!(comparison.block_at(ByteOffset(2560)), Lba(5));
    // One block against each of the range.
    assert_eq!(
        rig.send(0, &[0x2F, 0x06, 0, 0, 0, 4, 0, 0, 200, 0]),
        Outcome::NeedData(512)
    );
    // More than is held in memory.
    assert_eq!(
        blamed(rig.send(1, &[0x2F, 0x02, 0, 0, 0, 4, 0, 1, 1, 0])),
        (7, None)
    );
    let short = rig.target.execute(
        &rig.first,
        Lun::peripheral(0),
        &cdb(&two_blocks),
        Some(&[7; 1023]),
    );
    assert_eq!(sense(short), [5, 0x1A, 0x00]);
}

#[test]
fn prefetch_and_synchronize_look_at_the_range_only() {
    let rig = rig();
    for opcode in [0x34, 0x35] {
        assert_eq!(
            rig.send(0, &[opcode, 2, 0, 0, 7, 0xFF, 3, 0, 1, 0]),
            Outcome::Good
        );
        assert_eq!(
            rig.send(0, &[opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Outcome::Good
        );
        assert_eq!(
            sense(rig.send(0, &[opcode, 0, 0, 0, 8, 0, 0, 0, 0, 0])),
            [5, 0x21, 0x00]
        );
        assert_eq!(
            sense(rig.send(0, &[opcode, 0, 0, 0, 7, 0xFF, 0, 0, 2, 0])),
            [5, 0x21, 0x00]
        );
    }
    for opcode in [0x90, 0x91] {
        let long = [
            opcode, 2, 0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0,
        ];
        assert_eq!(rig.send(1, &long), Outcome::Good);
        let beyond = [
            opcode, 2, 0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2, 0, 0,
        ];
        assert_eq!(sense(rig.send(1, &beyond)), [5, 0x21, 0x00]);
    }
}

#[test]
fn get_lba_status_says_mapped() {
    let rig = rig();
    let mut command = [0; 16];
    command[..2].copy_from_slice(&[0x9E, 0x12]);
    command[9] = 8;
    command[13] = 24;
    assert_eq!(
        rig.data(0, &command),
        [
            0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 7, 0xF8, 0, 0, 0, 0
        ]
    );
    assert_eq!(rig.data(5, &command)[16..20], [0xFF, 0xFF, 0xFF, 0xF9]);
    assert_eq!(rig.data(1, &command)[16..20], [0xFF; 4]);
    command[8] = 8;
    assert_eq!(sense(rig.send(0, &command)), [5, 0x21, 0x00]);
}

#[test]
fn defect_lists_are_empty() {
    let rig = rig();
    assert_eq!(
        rig.data(0, &[0x37, 0, 0x1D, 0, 0, 0, 0, 0, 32, 0]),
        [0, 0x1D, 0, 0]
    );
    assert_eq!(
        rig.data(0, &[0xB7, 0x18, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0]),
        [0, 0x18, 0, 0, 0, 0, 0, 0]
    );
}
