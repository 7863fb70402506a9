//! Walks a FetchResponse of version 12 up to the records, without decoding it.

use crate::client::refused;
use crate::error::{BenchError, Result};
use crate::frame_reader::FrameReader;

/// Reads up to the list of topics; the answer must be to the request `correlation_id`.
pub(crate) fn begin(frame: &mut FrameReader, correlation_id: i32) -> Result<()> {
    frame.begin()?;
    if frame.i32()? != correlation_id {
        return Err(BenchError::Malformed(
            "the answer is to another request".into(),
        ));
    }
    frame.skip_tags()?;
    // Throttle time.
    frame.i32()?;
    refused("Fetch", frame.i16()?)?;
    // Session id.
    frame.i32()?;
    Ok(())
}

/// Reads a partition up to its records: its index, and how many bytes of records follow.
pub(crate) fn begin_partition(frame: &mut FrameReader) -> Result<(i32, usize)> {
    let index = frame.i32()?;
    refused("Fetch", frame.i16()?)?;
    // High watermark, last stable offset, log start offset.
    frame.skip(24)?;
    // Aborted transactions: producer id and first offset.
    for _ in 0..frame.compact_count()? {
        frame.skip(16)?;
        frame.skip_tags()?;
    }
    // Preferred read replica.
    frame.i32()?;
    Ok((index, frame.compact_count()?))
}
