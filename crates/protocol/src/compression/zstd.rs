//! Zstandard (RFC 8878), any number of frames one after the other.
//!
//! Working memory: the window that the frame asks for, at most 128 MiB, which is the reference library's own limit
//! and what level 22 needs. The library reserves it but writes to no more of it than content comes out, so the
//! caller's limit on the content bounds the memory that is really used.

use std::io::{self, Write};

use zstd::stream::read;
use zstd::stream::write;

/// `compression.zstd.level` when nothing is configured.
pub const DEFAULT_LEVEL: i32 = 3;

/// log2 of the largest window that is accepted.
const WINDOW_LOG_MAX: u32 = 27;

/// A stream over the content.
pub type Decoder<'a> = read::Decoder<'static, &'a [u8]>;

pub(super) fn decoder(compressed: &[u8]) -> io::Result<Decoder<'_>> {
    let mut decoder = read::Decoder::with_buffer(compressed)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(decoder)
}

pub(super) fn compress(plain: &[u8], level: i32, out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = write::Encoder::new(out, level)?;
    // Knowing the size, the encoder picks a window no larger than the content.
    encoder.set_pledged_src_size(Some(plain.len() as u64))?;
    encoder.write_all(plain)?;
    encoder.finish().map(drop)
}
