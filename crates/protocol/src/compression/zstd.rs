//! Zstandard (RFC 8878), any number of frames one after the other.
//!
//! Working memory: the window that the frame asks for, at most 128 MiB, which is the reference library's own limit
//! and what level 22 needs. The library reserves it but writes to no more of it than content comes out, so the
//! caller's limit on the content bounds the memory that is really used. Making a context costs more than
//! decompressing a small batch, so each thread keeps one, unless it has grown large.

use std::cell::Cell;
use std::io::{self, Read, Write};

use zstd::stream::write;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::invalid_data;

/// `compression.zstd.level` when nothing is configured.
pub const DEFAULT_LEVEL: i32 = 3;

/// log2 of the largest window that is accepted.
const WINDOW_LOG_MAX: u32 = 27;
/// A context that has grown above this is not kept.
const KEPT_CONTEXT_MAX: usize = 1024 * 1024;

thread_local! {
    static CONTEXT: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

/// A stream over the content.
pub struct Decoder<'a> {
    /// Present until the decoder is dropped.
    context: Option<DCtx<'static>>,
    left: &'a [u8],
    between_frames: bool,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(compressed: &'a [u8]) -> io::Result<Self> {
        let context = match CONTEXT.take() {
            Some(mut kept) => {
                kept.reset(ResetDirective::SessionOnly)
                    .map_err(zstd_error)?;
                kept
            }
            None => {
                let mut new = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
                new.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
                    .map_err(zstd_error)?;
                new
            }
        };
        Ok(Self {
            context: Some(context),
            left: compressed,
            between_frames: true,
        })
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let context = self.context.as_mut().ok_or(io::ErrorKind::UnexpectedEof)?;
        while !into.is_empty() {
            if self.left.is_empty() && self.between_frames {
                break;
            }
            let mut input = InBuffer::around(self.left);
            let mut output = OutBuffer::around(into);
            let hint = context
                .decompress_stream(&mut output, &mut input)
                .map_err(zstd_error)?;
            let (consumed, produced) = (input.pos(), output.pos());
            self.left = &self.left[consumed..];
            self.between_frames = hint == 0;
            if produced > 0 {
                return Ok(produced);
            }
            if consumed == 0 && !self.between_frames {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        CONTEXT.set(
            self.context
                .take()
                .filter(|context| context.sizeof() <= KEPT_CONTEXT_MAX),
        );
    }
}

fn zstd_error(code: usize) -> io::Error {
    invalid_data(get_error_name(code))
}

pub(super) fn compress(plain: &[u8], level: i32, out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = write::Encoder::new(out, level)?;
    // Knowing the size, the encoder picks a window no larger than the content.
    encoder.set_pledged_src_size(Some(plain.len() as u64))?;
    encoder.write_all(plain)?;
    encoder.finish().map(drop)
}
