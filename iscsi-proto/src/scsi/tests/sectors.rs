//! Sectors of 1024 and 2048 bytes: wherever a number of blocks meets a number of bytes.

use super::*;

/// Unit 0: 2^32 blocks of 1024 bytes. Unit 1: 10 blocks of 2048 bytes.
fn target() -> (Target, Nexus) {
    let unit = |number, blocks, size| {
        let geometry = Geometry::new(BlockCount(blocks), size).unwrap();
        LogicalUnit::new(number, geometry, "web-01", number.into())
    };
    let units = vec![
        unit(0, 1 << 32, BlockSize::B1024),
        unit(1, 10, BlockSize::B2048),
    ];
    let target = Target::new(NAME, units).unwrap();
    let nexus = target.attach(port(1)).unwrap();
    for lun in [0, 1] {
        let ready = target.execute(&nexus, Lun::peripheral(lun), &cdb(&READY), None);
        assert_eq!(sense(ready), [6, 0x29, 0x00]);
    }
    (target, nexus)
}

#[test]
fn capacity_and_limits_count_in_blocks() {
    let (target, nexus) = target();
    let send =
        |lun, bytes: &[u8]| data(target.execute(&nexus, Lun::peripheral(lun), &cdb(bytes), None));
    // READ CAPACITY (10): last block, bytes in a block; 2^32 blocks do not fit by one.
    assert_eq!(send(0, &[0x25]), [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 4, 0]);
    assert_eq!(send(1, &[0x25]), [0, 0, 0, 9, 0, 0, 8, 0]);
    let mut long = [0; 16];
    long[..2].copy_from_slice(&[0x9E, 0x10]);
    long[13] = 32;
    let capacity = send(0, &long);
    assert_eq!(
        capacity[..12],
        [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 4, 0]
    );
    // Block limits: granularity 4096 bytes, at most 16 MiB, best 1 MiB.
    let limits = [0x12, 1, 0xB0, 0, 255, 0];
    assert_eq!(
        send(0, &limits)[4..16],
        [1, 0, 0, 4, 0, 0, 0x40, 0, 0, 0, 4, 0]
    );
    assert_eq!(
        send(1, &limits)[4..16],
        [1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 2, 0]
    );
    // MODE SENSE (6), all pages: the block descriptor ends with the bytes of a block.
    assert_eq!(
        send(1, &[0x1A, 0, 0x3F, 0, 12, 0])[4..],
        [0, 0, 0, 10, 0, 0, 8, 0]
    );
}

#[test]
fn a_read_is_as_many_bytes_as_its_blocks_have() {
    let (target, nexus) = target();
    let read =
        |lun, bytes: &[u8]| match target.execute(&nexus, Lun::peripheral(lun), &cdb(bytes), None) {
            Outcome::Read(range) => (range.offset().0, range.len()),
            other => panic!("no read: {other:?}"),
        };
    assert_eq!(
        read(0, &[0x28, 0, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 2, 0]),
        (0x3FF_FFFF_F800, 2048)
    );
    assert_eq!(read(1, &[0x28, 0, 0, 0, 0, 3, 0, 0, 7, 0]), (6144, 14336));
}
