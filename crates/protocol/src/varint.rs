//! Variable-length integers: seven bits a byte, least significant first, the top bit says that more follow.
//!
//! Signed values are zig-zag coded first (`ByteUtils.readVarint`, `readVarlong`); lengths of the flexible message
//! versions are not (`ByteUtils.readUnsignedVarint`). Every reader takes bytes off the front of a slice and answers
//! `None` when the slice ends too early or the value is longer than its type allows.

use bytes::BufMut;

/// Most bytes that a 32-bit value takes.
const MAX_LEN_32: usize = 5;
/// Most bytes that a 64-bit value takes.
const MAX_LEN_64: usize = 10;

/// Read an unsigned 32-bit value.
#[inline]
pub fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    // Most values fit one byte or two, so those cases come first.
    match *bytes {
        [first, rest @ ..] if *first < 0x80 => {
            *bytes = rest;
            Some(u32::from(*first))
        }
        [first, second, rest @ ..] if *second < 0x80 => {
            *bytes = rest;
            Some(u32::from(first & 0x7f) | u32::from(*second) << 7)
        }
        _ => read_long(bytes, MAX_LEN_32).map(|value| value as u32),
    }
}

/// Read an unsigned 64-bit value.
#[inline]
pub fn read_u64(bytes: &mut &[u8]) -> Option<u64> {
    match *bytes {
        [first, rest @ ..] if *first < 0x80 => {
            *bytes = rest;
            Some(u64::from(*first))
        }
        [first, second, rest @ ..] if *second < 0x80 => {
            *bytes = rest;
            Some(u64::from(first & 0x7f) | u64::from(*second) << 7)
        }
        _ => read_long(bytes, MAX_LEN_64),
    }
}

/// Read a zig-zag coded 32-bit value.
#[inline]
pub fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let raw = read_u32(bytes)?;
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Read a zig-zag coded 64-bit value.
#[inline]
pub fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let raw = read_u64(bytes)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Write an unsigned 32-bit value.
pub fn put_u32(out: &mut impl BufMut, value: u32) {
    put_u64(out, value.into());
}

/// Write an unsigned 64-bit value.
pub fn put_u64(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Write a 32-bit value zig-zag coded.
pub fn put_i32(out: &mut impl BufMut, value: i32) {
    put_u32(out, zigzag_i32(value));
}

/// Write a 64-bit value zig-zag coded.
pub fn put_i64(out: &mut impl BufMut, value: i64) {
    put_u64(out, zigzag_i64(value));
}

/// Bytes that [`put_u32`] writes.
pub fn len_u32(value: u32) -> usize {
    len_u64(value.into())
}

/// Bytes that [`put_i32`] writes.
pub fn len_i32(value: i32) -> usize {
    len_u32(zigzag_i32(value))
}

/// Bytes that [`put_i64`] writes.
pub fn len_i64(value: i64) -> usize {
    len_u64(zigzag_i64(value))
}

fn len_u64(value: u64) -> usize {
    let bits = (64 - (value | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

fn zigzag_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bits shifted out of the top byte are dropped without a word, as Java drops them.
fn read_long(bytes: &mut &[u8], max_len: usize) -> Option<u64> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(max_len).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings() {
        let table: &[(i32, &[u8])] = &[
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (300, &[0xd8, 4]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for &(value, encoded) in table {
            let mut out = Vec::new();
            put_i32(&mut out, value);
            assert_eq!(out, encoded, "{value}");
            assert_eq!(len_i32(value), encoded.len(), "{value}");
            assert_eq!(read_i32(&mut &*out), Some(value));
            assert_eq!(read_i64(&mut &*out), Some(value.into()));
        }
    }

    #[test]
    fn round_trip_at_every_bit() {
        for shift in 0..64 {
            for value in [
                1i64 << shift,
                (1i64 << shift).wrapping_sub(1),
                (1i64 << shift).wrapping_neg(),
            ] {
                let mut out = Vec::new();
                put_i64(&mut out, value);
                assert_eq!(len_i64(value), out.len(), "{value}");
                let mut left = &out[..];
                assert_eq!(read_i64(&mut left), Some(value));
                assert!(left.is_empty());
            }
        }
    }

    #[test]
    fn too_short_and_too_long_are_refused() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0xff; 4],
            &[0xff; 5],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(read_u32(&mut &*bytes), None, "{bytes:?}");
        }
        assert_eq!(read_u64(&mut &[0xff; 10][..]), None);
        assert_eq!(read_u64(&mut &[0xff; 9][..]), None);
    }

    #[test]
    fn reading_leaves_what_follows() {
        let mut bytes = &[0x80, 1, 7][..];
        assert_eq!(read_u32(&mut bytes), Some(128));
        assert_eq!(bytes, [7]);
    }
}
