//! Snappy, in the two forms that clients send.
//!
//! - raw: one block (librdkafka, franz-go);
//! - xerial framing (`SnappyOutputStream`, the Java client): the magic `82 'SNAPPY' 00`, two i32 (version, oldest
//!   compatible version), then blocks, each behind its i32 length.
//!
//! A block can only be decompressed as a whole. Working memory: the largest block, which may neither exceed the
//! caller's limit nor the 22-fold that Snappy's densest element (three bytes for 64) can reach.

use std::io::{self, Read};

use super::invalid_data;

const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic and two versions.
const XERIAL_HEADER_LEN: usize = 16;
const XERIAL_VERSION: i32 = 1;
/// Block of `SnappyOutputStream`, so that readers see the sizes they know.
const XERIAL_BLOCK_LEN: usize = 32 * 1024;
/// Above any expansion that valid data can have.
const MAX_EXPANSION: usize = 22;

/// A stream over the content.
pub struct Decoder<'a> {
    left: &'a [u8],
    framed: bool,
    max_block: usize,
    block: Vec<u8>,
    taken: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(compressed: &'a [u8], max_block: usize) -> Self {
        let framed = compressed.len() >= XERIAL_HEADER_LEN && compressed.starts_with(&XERIAL_MAGIC);
        let left = if framed {
            &compressed[XERIAL_HEADER_LEN..]
        } else {
            compressed
        };
        Self {
            left,
            framed,
            max_block,
            block: Vec::new(),
            taken: 0,
        }
    }

    /// Take the next compressed block off the input. Empty input is the end.
    fn next_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        if !self.framed {
            return Ok(Some(std::mem::take(&mut self.left)));
        }
        // Concatenated streams repeat the header between blocks.
        if self.left.len() >= XERIAL_HEADER_LEN && self.left.starts_with(&XERIAL_MAGIC) {
            self.left = &self.left[XERIAL_HEADER_LEN..];
            return self.next_block_behind_header();
        }
        self.next_block_behind_header()
    }

    fn next_block_behind_header(&mut self) -> io::Result<Option<&'a [u8]>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let (prefix, rest) = self
            .left
            .split_first_chunk::<4>()
            .ok_or_else(|| invalid_data("snappy block without length"))?;
        let len = usize::try_from(i32::from_be_bytes(*prefix)).map_err(invalid_data)?;
        let (block, rest) = rest
            .split_at_checked(len)
            .ok_or_else(|| invalid_data("snappy block longer than the batch"))?;
        self.left = rest;
        Ok(Some(block))
    }

    fn decompress(&mut self, compressed: &[u8]) -> io::Result<()> {
        let len = snap::raw::decompress_len(compressed).map_err(invalid_data)?;
        if len > self.max_block || len > compressed.len().saturating_mul(MAX_EXPANSION) {
            return Err(invalid_data(format!("snappy block claims {len} bytes")));
        }
        self.block.resize(len, 0);
        let written = snap::raw::Decoder::new()
            .decompress(compressed, &mut self.block)
            .map_err(invalid_data)?;
        self.block.truncate(written);
        self.taken = 0;
        Ok(())
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() {
            match self.next_block()? {
                Some(block) => self.decompress(block)?,
                None => return Ok(0),
            }
        }
        let len = into.len().min(self.block.len() - self.taken);
        into[..len].copy_from_slice(&self.block[self.taken..self.taken + len]);
        self.taken += len;
        Ok(len)
    }
}

/// In xerial framing, as Kafka's own broker and Java client write.
pub(super) fn compress(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(plain.len().min(XERIAL_BLOCK_LEN))];
    for chunk in plain.chunks(XERIAL_BLOCK_LEN) {
        let len = encoder.compress(chunk, &mut block).map_err(invalid_data)?;
        out.extend_from_slice(&(len as i32).to_be_bytes());
        out.extend_from_slice(&block[..len]);
    }
    Ok(())
}
