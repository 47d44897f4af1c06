//! One compressed cluster to its bytes.

use flate2::{Decompress, FlushDecompress};
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::header::Compression;

/// Largest zstd window that is accepted, as a power of two. Clusters have 2 MiB at most; encoders
/// at high levels that do not know the length state more. Bounds the memory of a decoder.
const MAX_ZSTD_WINDOW_BITS: u32 = 24;

/// Decompresses to exactly `length` bytes. What follows in `input` does not matter: its end is
/// only known to a sector. `None` if the data is not valid or too short.
pub(super) fn inflate(compression: Compression, input: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut output = vec![0; length];
    let written = match compression {
        Compression::Deflate => inflate_deflate(input, &mut output)?,
        Compression::Zstd => inflate_zstd(input, &mut output)?,
    };
    (written == length).then_some(output)
}

fn inflate_deflate(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let mut decoder = Decompress::new(false);
    let (mut read, mut written) = (0, 0);
    while written < output.len() {
        let rest = output.get_mut(written..)?;
        decoder
            .decompress(input.get(read..)?, rest, FlushDecompress::None)
            .ok()?;
        let (now_read, now_written) = (
            usize::try_from(decoder.total_in()).ok()?,
            usize::try_from(decoder.total_out()).ok()?,
        );
        if (now_read, now_written) == (read, written) {
            break;
        }
        (read, written) = (now_read, now_written);
    }
    Some(written)
}

fn inflate_zstd(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let mut decoder = Decoder::new().ok()?;
    decoder
        .set_parameter(DParameter::WindowLogMax(MAX_ZSTD_WINDOW_BITS))
        .ok()?;
    let (mut read, mut written) = (0, 0);
    let mut is_whole = false;
    while written < output.len() {
        let status = decoder
            .run_on_buffers(input.get(read..)?, output.get_mut(written..)?)
            .ok()?;
        read += status.bytes_read;
        written += status.bytes_written;
        is_whole = status.remaining == 0;
        if status.bytes_read == 0 && status.bytes_written == 0 {
            break;
        }
    }
    // A frame that goes on is that of more than a cluster. Its checksum, if it has one, stands at its end.
    is_whole.then_some(written)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn deflated(content: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn one_whole_cluster_or_nothing() {
        let content: Vec<u8> = (0..4096_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let compressed = [
            (Compression::Deflate, deflated(&content)),
            (
                Compression::Zstd,
                zstd::bulk::compress(&content, 3).unwrap(),
            ),
        ];
        for (kind, mut data) in compressed {
            let length = data.len();
            assert_eq!(
                inflate(kind, &data[..length - 5], content.len()),
                None,
                "{kind:?} cut off"
            );
            assert_eq!(
                inflate(kind, &data, content.len() + 1),
                None,
                "{kind:?} too little"
            );
            assert_eq!(
                inflate(kind, &[], content.len()),
                None,
                "{kind:?} of nothing"
            );
            // The rest of the last sector, as it happens to be.
            data.extend([0xff; 300]);
            assert_eq!(
                inflate(kind, &data, content.len()).unwrap(),
                content,
                "{kind:?}"
            );
            if kind == Compression::Zstd {
                let less = inflate(kind, &data, content.len() - 1);
                assert!(less.is_none(), "a frame of more than a cluster");
            }
            data[2] ^= 0x55;
            assert_ne!(
                inflate(kind, &data, content.len()),
                Some(content.clone()),
                "{kind:?} damaged"
            );
        }
    }

    #[test]
    fn a_checksum_is_looked_at() {
        let content = [7; 4096];
        let mut encoder = zstd::bulk::Compressor::new(3).unwrap();
        encoder.include_checksum(true).unwrap();
        let mut data = encoder.compress(&content).unwrap();
        let length = data.len();
        assert_eq!(
            inflate(Compression::Zstd, &data, 4096).as_deref(),
            Some(&content[..])
        );
        data[length - 1] ^= 1;
        assert_eq!(inflate(Compression::Zstd, &data, 4096), None);
        assert_eq!(inflate(Compression::Zstd, &data[..length - 4], 4096), None);
    }

    #[test]
    fn a_window_of_gigabytes_is_refused() {
        // Magic number, no single segment, window descriptor for 2 GiB, one raw block of 1 byte.
        let frame = [
            0x28,
            0xb5,
            0x2f,
            0xfd,
            0x00,
            21 << 3,
            0x09,
            0x00,
            0x00,
            b'x',
        ];
        assert_eq!(inflate(Compression::Zstd, &frame, 1), None);
        // The same for 1 MiB.
        let frame = [
            0x28,
            0xb5,
            0x2f,
            0xfd,
            0x00,
            10 << 3,
            0x09,
            0x00,
            0x00,
            b'x',
        ];
        assert_eq!(inflate(Compression::Zstd, &frame, 1), Some(b"x".to_vec()));
    }
}
