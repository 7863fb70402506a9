//! Record batches of an exact size in bytes, so that a fetch of N bytes is N bytes on both sides.
//!
//! v2 batches of records without key or headers, uncompressed or LZ4; the layout is that of
//! [`ottla_protocol::record::batch`]. No timestamps vary: all records carry the base timestamp.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use lz4_flex::frame::FrameEncoder;
use ottla_protocol::record::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2};

/// Attributes of a batch without compression.
const UNCOMPRESSED: i16 = 0;
/// Attributes of a batch that is compressed with LZ4.
const LZ4: i16 = 3;
/// Size of the value of a usual record; the last record of a batch takes what is left.
const VALUE_LEN: usize = 1000;

/// A batch of exactly `size` bytes, of records of about 1 KB stamped `timestamp_ms`; one record when `size` is small.
///
/// Returns `None` when not even one empty record fits, or when no length of the last value gives exactly `size`
/// (a varint that grows by a byte can skip one size).
pub(crate) fn of_size(size: usize, timestamp_ms: i64) -> Option<Bytes> {
    let records = (size.checked_sub(HEADER_LEN)? / (VALUE_LEN + 16)).max(1);
    let mut body = BytesMut::with_capacity(size);
    for delta in 0..records - 1 {
        put_record(&mut body, delta, VALUE_LEN);
    }
    let left = size.checked_sub(HEADER_LEN + body.len())?;
    let last = (0..=left)
        .rev()
        .take(32)
        .find(|value| record_len(records - 1, *value) == left)?;
    put_record(&mut body, records - 1, last);
    seal(&body, records, timestamp_ms, UNCOMPRESSED)
}

/// A batch of one record with a value of `value_len` bytes.
pub(crate) fn of_one_record(value_len: usize, timestamp_ms: i64) -> Option<Bytes> {
    let mut body = BytesMut::new();
    put_record(&mut body, 0, value_len);
    seal(&body, 1, timestamp_ms, UNCOMPRESSED)
}

/// A batch of as many records as make about `size` bytes, compressed with LZ4.
pub(crate) fn of_lz4(size: usize, timestamp_ms: i64) -> Option<Bytes> {
    let mut body = BytesMut::with_capacity(size);
    let mut words = Words(1);
    let mut records = 0;
    while body.len() + VALUE_LEN <= size {
        put_value(&mut body, records, &words.text(VALUE_LEN));
        records += 1;
    }
    let mut encoder = FrameEncoder::new(Vec::new());
    encoder.write_all(&body).ok()?;
    seal(&encoder.finish().ok()?, records, timestamp_ms, LZ4)
}

/// Text of words that come again and again, as logs are: LZ4 makes it about half as long.
struct Words(u64);

impl Words {
    fn text(&mut self, len: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(len + 8);
        while text.len() < len {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let word = (self.0 >> 40) % 512;
            text.extend(format!("{:x} ", word * word * 2_654_435_761 % 1_000_000_007).into_bytes());
        }
        text.truncate(len);
        text
    }
}

fn seal(body: &[u8], records: usize, timestamp_ms: i64, attributes: i16) -> Option<Bytes> {
    let count = i32::try_from(records).ok()?;
    let mut batch = BytesMut::with_capacity(HEADER_LEN + body.len());
    batch.put_i64(0);
    batch.put_i32(i32::try_from(HEADER_LEN - LOG_OVERHEAD + body.len()).ok()?);
    batch.put_i32(-1);
    batch.put_i8(MAGIC_V2);
    batch.put_u32(0);
    batch.put_i16(attributes);
    batch.put_i32(count - 1);
    batch.put_i64(timestamp_ms);
    batch.put_i64(timestamp_ms);
    batch.put_i64(-1);
    batch.put_i16(-1);
    batch.put_i32(-1);
    batch.put_i32(count);
    let mut header = BatchHeader::read(&batch)?;
    header.seal(body);
    batch.clear();
    batch.put_slice(header.as_bytes());
    batch.put_slice(body);
    Some(batch.freeze())
}

/// Bytes of one record, its length prefix included.
fn record_len(delta: usize, value_len: usize) -> usize {
    let content = content_len(delta, value_len);
    varint_len(content) + content
}

/// Bytes behind the length prefix: attributes, timestamp delta, offset delta, null key, value, no headers.
fn content_len(delta: usize, value_len: usize) -> usize {
    1 + 1 + varint_len(delta) + 1 + varint_len(value_len) + value_len + 1
}

fn put_record(body: &mut BytesMut, delta: usize, value_len: usize) {
    // Text-like, not constant: a constant value would flatter any memory or CRC shortcut.
    let letter = |at| b'a' + ((at * 7 + at / 13 + delta * 31) % 26) as u8;
    let value: Vec<u8> = (0..value_len).map(letter).collect();
    put_value(body, delta, &value);
}

fn put_value(body: &mut BytesMut, delta: usize, value: &[u8]) {
    put_varint(body, content_len(delta, value.len()) as i64);
    body.put_u8(0);
    put_varint(body, 0);
    put_varint(body, delta as i64);
    put_varint(body, -1);
    put_varint(body, value.len() as i64);
    body.put_slice(value);
    put_varint(body, 0);
}

fn varint_len(value: usize) -> usize {
    (64 - ((value as u64) << 1 | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.put_u8(left as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use lz4_flex::frame::FrameDecoder;
    use ottla_protocol::kafka_protocol::records::RecordBatchDecoder;
    use ottla_protocol::record::batch::{CRC_START, crc32c};

    use super::*;

    #[test]
    fn batches_have_the_size_asked_for_and_decode() {
        for size in [100, 200, 4096, 16 << 10, 64 << 10, 1 << 20] {
            let batch = of_size(size, 1_700_000_000_000).unwrap();
            assert_eq!(batch.len(), size);
            let header = BatchHeader::read(&batch).unwrap();
            assert_eq!(header.size(), Some(size));
            assert_eq!(header.crc(), crc32c(&batch[CRC_START..]));
            let records = RecordBatchDecoder::decode(&mut batch.clone())
                .unwrap()
                .records;
            assert_eq!(records.len() as i32, header.records_count());
            assert!(
                records
                    .iter()
                    .all(|record| record.timestamp == 1_700_000_000_000 && record.key.is_none())
            );
            assert_eq!(
                records.last().unwrap().offset,
                i64::from(header.last_offset_delta())
            );
        }
    }

    #[test]
    fn one_record_carries_its_value() {
        let batch = of_one_record(100, 5).unwrap();
        let records = RecordBatchDecoder::decode(&mut batch.clone())
            .unwrap()
            .records;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].value.as_ref().unwrap().len(), 100);
    }

    #[test]
    fn compressed_batches_decode_and_are_about_half_as_long() {
        let batch = of_lz4(64 << 10, 5).unwrap();
        assert!(
            (16 << 10..48 << 10).contains(&batch.len()),
            "{}",
            batch.len()
        );
        let header = BatchHeader::read(&batch).unwrap();
        assert_eq!(header.crc(), crc32c(&batch[CRC_START..]));
        let mut records = Vec::new();
        let mut decoder = FrameDecoder::new(&batch[HEADER_LEN..]);
        decoder.read_to_end(&mut records).unwrap();
        assert_eq!(header.records_count(), 64);
        assert!((64 * VALUE_LEN..64 << 10).contains(&records.len()));
    }

    #[test]
    fn too_small_a_size_is_refused() {
        assert_eq!(of_size(61, 0), None);
        assert_eq!(of_size(10, 0), None);
    }
}
