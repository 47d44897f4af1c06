//! L1 and L2 entries: 64 bits that say where a table or a cluster stands.
//!
//! Source: QEMU `docs/interop/qcow2.txt`, "Cluster mapping" and "Extended L2 Entries". A reserved
//! bit that is set is damage: nobody knows what the entry meant to say.

use super::header::Header;

/// Bits 9 to 55: offset in the file.
pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const L1_RESERVED: u64 = 0x7f00_0000_0000_01ff;
const L2_RESERVED: u64 = 0x3f00_0000_0000_01fe;
/// Reads as zeros, whether there is a cluster or not. Version 3, and not with subclusters.
const ZERO: u64 = 1;
pub(super) const COMPRESSED: u64 = 1 << 62;
/// Has a refcount of one; with a data file also tells "at offset 0" from "not allocated".
pub(super) const COPIED: u64 = 1 << 63;
/// Subclusters in a cluster, one bit each.
const SUBCLUSTER_BITS: u32 = 5;
/// Compressed data is counted in sectors of this size.
const SECTOR: u64 = 512;

/// What an entry holds is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// Where bytes of the disk come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From the image below.
    Below,
    /// They are zero.
    Zero,
    /// From the data file, or this file if there is none, at this offset.
    Data(u64),
    /// Out of this compressed cluster.
    Compressed(Compressed),
}

/// Where a compressed cluster stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compressed {
    /// First byte, not aligned.
    pub(super) at: u64,
    /// Bytes that hold it, up to 511 more than it has.
    pub(super) length: u64,
    /// The entry, which names the cluster.
    pub(super) entry: u64,
}

/// The offset of an L2 table; `None` if no cluster of it is allocated.
pub(super) fn l2_table(entry: u64, header: &Header) -> Result<Option<u64>, Invalid> {
    let offset = entry & OFFSET;
    if entry & L1_RESERVED != 0 || offset & (header.cluster_bytes() - 1) != 0 {
        return Err(Invalid);
    }
    // "Refcount is exactly one", of nothing: the offset is lost.
    if offset == 0 && entry & COPIED != 0 {
        return Err(Invalid);
    }
    Ok((offset != 0).then_some(offset))
}

/// Where the byte at `within` its cluster comes from, and how many bytes from there on do too.
/// `bitmap` is the second half of an extended entry, else 0.
pub(super) fn origin(
    entry: u64,
    bitmap: u64,
    within: u64,
    header: &Header,
) -> Result<(Origin, u64), Invalid> {
    let rest = header.cluster_bytes() - within;
    if entry & COMPRESSED != 0 {
        return Ok((Origin::Compressed(compressed(entry, bitmap, header)?), rest));
    }
    let offset = entry & OFFSET;
    if entry & L2_RESERVED != 0 || offset & (header.cluster_bytes() - 1) != 0 {
        return Err(Invalid);
    }
    let in_data_file = header.data_file.is_some() && entry & COPIED != 0;
    // "The offset may only be 0 with bit 63 set … when an external data file is used" (in sense): it is lost.
    if offset == 0 && entry & (COPIED | ZERO) == COPIED && !in_data_file {
        return Err(Invalid);
    }
    let cluster = (offset != 0 || in_data_file).then_some(offset);
    if header.extended_l2 {
        return subcluster(entry, cluster, bitmap, within, header);
    }
    match cluster {
        // "Reserved (set to 0)" in version 2: neither meaning may be guessed.
        _ if entry & ZERO != 0 && header.version < 3 => Err(Invalid),
        _ if entry & ZERO != 0 => Ok((Origin::Zero, rest)),
        Some(cluster) => Ok((Origin::Data(cluster + within), rest)),
        None => Ok((Origin::Below, rest)),
    }
}

/// The low half of the bitmap says which subclusters are allocated, the high half which are zero.
fn subcluster(
    entry: u64,
    cluster: Option<u64>,
    bitmap: u64,
    within: u64,
    header: &Header,
) -> Result<(Origin, u64), Invalid> {
    let subcluster_bits = header.cluster_bits - SUBCLUSTER_BITS;
    let index = within >> subcluster_bits;
    let rest = ((index + 1) << subcluster_bits) - within;
    let is_allocated = bitmap >> index & 1 == 1;
    let is_zero = bitmap >> (32 + index) & 1 == 1;
    match (is_allocated, is_zero, cluster) {
        _ if entry & ZERO != 0 => Err(Invalid),
        (true, true, _) | (true, _, None) => Err(Invalid),
        (true, false, Some(cluster)) => Ok((Origin::Data(cluster + within), rest)),
        (false, true, _) => Ok((Origin::Zero, rest)),
        (false, false, _) => Ok((Origin::Below, rest)),
    }
}

/// Offset in the low bits, sectors in the high bits; where they meet depends on the cluster size.
pub(super) fn compressed(entry: u64, bitmap: u64, header: &Header) -> Result<Compressed, Invalid> {
    let meet = 62 - (header.cluster_bits - 8);
    let entry = entry & !(COMPRESSED | COPIED);
    let at = entry & ((1 << meet) - 1);
    let sectors = (entry >> meet) + 1;
    let length = sectors * SECTOR - at % SECTOR;
    if bitmap != 0 || header.data_file.is_some() || at < header.cluster_bytes() {
        return Err(Invalid);
    }
    Ok(Compressed { at, length, entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qcow2::header::Compression;

    fn header(version: u32, cluster_bits: u32, extended_l2: bool, data_file: bool) -> Header {
        Header {
            version,
            size: 1 << 30,
            cluster_bits,
            extended_l2,
            l1_offset: 0x3_0000,
            l1_entries: 2,
            compression: Compression::Deflate,
            is_suspect: false,
            backing: None,
            data_file: data_file.then(|| "data".to_owned()),
            snapshots: (0, 0),
        }
    }

    #[test]
    fn standard_entries() {
        let v3 = header(3, 16, false, false);
        let at = |entry| origin(entry, 0, 0x1234, &v3).map(|(origin, _)| origin);
        assert_eq!(origin(0, 0, 0x1234, &v3), Ok((Origin::Below, 0xedcc)));
        assert_eq!(at(0x8000_0000_0005_0000), Ok(Origin::Data(0x5_1234)));
        assert_eq!(
            at(0x00ff_ffff_ffff_0000),
            Ok(Origin::Data(0x00ff_ffff_ffff_1234))
        );
        assert_eq!(at(0x0000_0000_0000_0001), Ok(Origin::Zero));
        assert_eq!(at(0x8000_0000_0005_0001), Ok(Origin::Zero));
        // Offset 0 is the header: that the cluster there is counted once cannot be.
        assert_eq!(at(0x8000_0000_0000_0000), Err(Invalid));
        assert_eq!(l2_table(0x8000_0000_0000_0000, &v3), Err(Invalid));
        assert_eq!(l2_table(0, &v3), Ok(None));
        for reserved in (1..9).chain(56..62) {
            assert_eq!(
                at(0x8000_0000_0005_0000 | 1 << reserved),
                Err(Invalid),
                "bit {reserved}"
            );
        }
        assert_eq!(
            at(0x8000_0000_0005_8000),
            Err(Invalid),
            "not aligned to the cluster"
        );
        let v2 = header(2, 16, false, false);
        assert_eq!(
            origin(1, 0, 0, &v2),
            Err(Invalid),
            "version 2 knows no zero clusters"
        );
        let data = header(3, 16, false, true);
        assert_eq!(
            origin(0x8000_0000_0000_0000, 0, 5, &data),
            Ok((Origin::Data(5), 0xfffb))
        );
        assert_eq!(origin(0, 0, 5, &data), Ok((Origin::Below, 0xfffb)));
        assert_eq!(
            origin(0x4000_0000_0005_0000, 0, 0, &data),
            Err(Invalid),
            "compressed in a data file"
        );
    }

    #[test]
    fn compressed_entries() {
        // 64 KiB clusters: 54 bits of offset, then 8 bits of sectors less one.
        let entry = 0x4000_0000_0005_0123 | 3 << 54;
        let expected = Compressed {
            at: 0x5_0123,
            length: 4 * 512 - 0x123,
            entry: entry ^ 1 << 62,
        };
        let v3 = header(3, 16, false, false);
        assert_eq!(
            origin(entry, 0, 7, &v3),
            Ok((Origin::Compressed(expected), 0xfff9))
        );
        // 512-byte clusters: 61 bits of offset, 1 bit of sectors.
        let small = header(3, 9, false, false);
        let entry = 0x6000_0000_0005_0000;
        let expected = Compressed {
            at: 0x5_0000,
            length: 1024,
            entry: entry ^ 1 << 62,
        };
        assert_eq!(
            origin(entry, 0, 0, &small),
            Ok((Origin::Compressed(expected), 512))
        );
        assert_eq!(
            origin(0x4000_0000_0000_0123, 0, 0, &v3),
            Err(Invalid),
            "inside the header"
        );
    }

    #[test]
    fn extended_entries() {
        // 64 KiB clusters, 2 KiB subclusters: 0 and 31 allocated, 1 zero.
        let extended = header(3, 16, true, false);
        let bitmap = 0x0000_0002_8000_0001;
        let at = |within| origin(0x8000_0000_0005_0000, bitmap, within, &extended);
        assert_eq!(at(5), Ok((Origin::Data(0x5_0005), 2043)));
        assert_eq!(at(2048), Ok((Origin::Zero, 2048)));
        assert_eq!(at(4096), Ok((Origin::Below, 2048)));
        assert_eq!(at(0xffff), Ok((Origin::Data(0x5_ffff), 1)));
        let both = origin(0x8000_0000_0005_0000, 0x0000_0001_0000_0001, 0, &extended);
        assert_eq!(both, Err(Invalid), "allocated and zero");
        assert_eq!(
            origin(0, 1, 0, &extended),
            Err(Invalid),
            "allocated nowhere"
        );
        assert_eq!(
            origin(0x8000_0000_0005_0001, 0, 0, &extended),
            Err(Invalid),
            "reserved bit 0"
        );
        assert_eq!(
            origin(0x4000_0000_0005_0000, 1, 0, &extended),
            Err(Invalid),
            "compressed with a bitmap"
        );
    }

    #[test]
    fn l1_entries() {
        let v3 = header(3, 16, false, false);
        assert_eq!(l2_table(0, &v3), Ok(None));
        assert_eq!(l2_table(0x8000_0000_0004_0000, &v3), Ok(Some(0x4_0000)));
        for entry in [
            0x8000_0000_0004_0001,
            0x4000_0000_0004_0000,
            0x8000_0000_0004_0200,
        ] {
            assert_eq!(l2_table(entry, &v3), Err(Invalid), "{entry:#x}");
        }
    }
}
