//! Reads numpy's compressed archives.

use std::{io::Read, path::Path};

use flate2::read::DeflateDecoder;

/// One array of an npz file: shape and values. Only what `numpy.savez` writes for C-ordered
/// little-endian float32 and int16.
pub(crate) fn array(npz: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(npz).unwrap();
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let u32_at = |at: usize| u16_at(at) + (u16_at(at + 2) << 16);
    let end = (0..bytes.len() - 21)
        .rev()
        .find(|&at| bytes[at..].starts_with(b"PK\x05\x06"))
        .unwrap();
    let mut entry = u32_at(end + 16);
    for _ in 0..u16_at(end + 10) {
        let (method, packed, name_len) =
            (u16_at(entry + 10), u32_at(entry + 20), u16_at(entry + 28));
        let local = u32_at(entry + 42);
        if bytes[entry + 46..entry + 46 + name_len] == *format!("{name}.npy").as_bytes() {
            let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
            let packed = &bytes[start..start + packed];
            let mut npy = Vec::new();
            match method {
                0 => npy.extend(packed),
                8 => drop(DeflateDecoder::new(packed).read_to_end(&mut npy).unwrap()),
                other => panic!("compression method {other}"),
            }
            assert!(npy.starts_with(b"\x93NUMPY\x01"));
            let header_len = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
            let header = std::str::from_utf8(&npy[10..10 + header_len]).unwrap();
            let short = header.contains("'<i2'");
            assert!(
                (short || header.contains("'<f4'")) && header.contains("'fortran_order': False"),
                "{header}"
            );
            let shape = header.split(['(', ')']).nth(1).unwrap();
            let shape = shape
                .split(',')
                .filter_map(|n| n.trim().parse().ok())
                .collect();
            let bytes = &npy[10 + header_len..];
            let values = if short {
                let pairs = bytes.as_chunks::<2>().0.iter();
                pairs
                    .map(|pair| f32::from(i16::from_le_bytes(*pair)))
                    .collect()
            } else {
                let quads = bytes.as_chunks::<4>().0.iter();
                quads.map(|quad| f32::from_le_bytes(*quad)).collect()
            };
            return (shape, values);
        }
        entry += 46 + name_len + u16_at(entry + 30) + u16_at(entry + 32);
    }
    panic!("{name} is not in {}", npz.display());
}
