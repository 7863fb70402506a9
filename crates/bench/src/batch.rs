//! Record batches of an exact size in bytes, so that a fetch of N bytes is N bytes on both sides.
//!
//! Uncompressed v2 batches of records without key or headers; the layout is that of
//! [`ottla_protocol::record::batch`]. No timestamps vary: all records carry the base timestamp.

use bytes::{BufMut, Bytes, BytesMut};
use ottla_protocol::record::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2};

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
    seal(&body, records, timestamp_ms)
}

/// A batch of one record with a value of `value_len` bytes.
pub(crate) fn of_one_record(value_len: usize, timestamp_ms: i64) -> Option<Bytes> {
    let mut body = BytesMut::new();
    put_record(&mut body, 0, value_len);
    seal(&body, 1, timestamp_ms)
}

fn seal(body: &[u8], records: usize, timestamp_ms: i64) -> Option<Bytes> {
    let count = i32::try_from(records).ok()?;
    let mut batch = BytesMut::with_capacity(HEADER_LEN + body.len());
    batch.put_i64(0);
    batch.put_i32(i32::try_from(HEADER_LEN - LOG_OVERHEAD + body.len()).ok()?);
    batch.put_i32(-1);
    batch.put_i8(MAGIC_V2);
    batch.put_u32(0);
    batch.put_i16(0);
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
    put_varint(body, content_len(delta, value_len) as i64);
    body.put_u8(0);
    put_varint(body, 0);
    put_varint(body, delta as i64);
    put_varint(body, -1);
    put_varint(body, value_len as i64);
    // Text-like, not constant: a constant value would flatter any memory or CRC shortcut.
    body.extend((0..value_len).map(|at| b'a' + ((at * 7 + at / 13 + delta * 31) % 26) as u8));
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
    fn too_small_a_size_is_refused() {
        assert_eq!(of_size(61, 0), None);
        assert_eq!(of_size(10, 0), None);
    }
}
