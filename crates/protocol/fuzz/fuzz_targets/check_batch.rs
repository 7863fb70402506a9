//! What a producer sends for a partition. The first byte chooses the rules; the CRC is made right, or nothing would
//! get past it. What passes must be sealed and read back.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::ids::Timestamp;
use ottla_protocol::record::batch::{CRC_AT, CRC_START, crc32c};
use ottla_protocol::record::{BatchRules, TimestampType, TopicCodec, ValidBatch};

fuzz_target!(|data: &[u8]| {
    let Some((choice, batch)) = data.split_first() else {
        return;
    };
    let mut batch = batch.to_vec();
    if batch.len() > CRC_START {
        let crc = crc32c(&batch[CRC_START..]);
        batch[CRC_AT..CRC_START].copy_from_slice(&crc.to_be_bytes());
    }
    if let Ok(valid) = ValidBatch::check(Bytes::from(batch), &rules(*choice)) {
        let header = valid.header();
        assert_eq!(header.crc(), crc32c(&valid.to_bytes()[CRC_START..]));
        assert_eq!(header.size(), Some(valid.size()));
        let mut records = valid.records(usize::MAX).expect("a codec");
        let mut count = 0;
        while let Some(record) = records.next().expect("a record") {
            assert_eq!(record.offset_delta, count);
            record.headers.for_each(drop);
            count += 1;
        }
        assert_eq!(header.records_count(), count);
    }
});

fn rules(choice: u8) -> BatchRules {
    BatchRules {
        max_message_bytes: 1 << 20,
        max_decompressed_bytes: 1 << 20,
        timestamp_type: if choice & 1 == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        },
        timestamp_before_max_ms: if choice & 2 == 0 { i64::MAX } else { 1000 },
        timestamp_after_max_ms: if choice & 2 == 0 { i64::MAX } else { 1000 },
        require_keys: choice & 4 != 0,
        codec: match choice >> 3 {
            0..16 => TopicCodec::Producer,
            16..24 => TopicCodec::Uncompressed,
            24..28 => TopicCodec::Snappy,
            28..30 => TopicCodec::Lz4 { level: 1 },
            30 => TopicCodec::Gzip { level: 1 },
            _ => TopicCodec::Zstd { level: 1 },
        },
        now: Timestamp(1_700_000_000_000),
        produce_version: 12,
    }
}
