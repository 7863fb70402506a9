//! Reads response frames off a blocking socket through one reusable buffer.
//!
//! The buffer is smaller than a large response: record bytes stream through it and are dropped, which keeps
//! the client light and its cache footprint the same for every broker. The walk is honest all the same: every
//! length is read from the wire, and a frame that ends early or late is an error.

use std::io::Read;
use std::net::TcpStream;

use crate::error::{BenchError, Doing, Result};

/// Bytes taken off the socket by one call at most.
const BUFFER_LEN: usize = 256 << 10;

/// A socket's incoming half and the walk through the frame that is being read.
pub(crate) struct FrameReader<S = TcpStream> {
    socket: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes of the current frame which the walk has not passed.
    left: usize,
}

impl<S: Read> FrameReader<S> {
    /// A reader over `socket`, between frames.
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            buffer: vec![0; BUFFER_LEN].into(),
            start: 0,
            end: 0,
            left: 0,
        }
    }

    /// Reads the length of the next frame and starts walking it; returns the length, without its own 4 bytes.
    pub(crate) fn begin(&mut self) -> Result<usize> {
        self.left = 4;
        let len = self.i32()?;
        self.left = usize::try_from(len).map_err(|_| malformed("negative frame length"))?;
        Ok(self.left)
    }

    /// Checks that the walk has passed the whole frame.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.left == 0 {
            Ok(())
        } else {
            Err(malformed("bytes behind the end of the message"))
        }
    }

    /// Walks past all that is left of the frame.
    pub(crate) fn skip_rest(&mut self) -> Result<()> {
        self.skip(self.left)
    }

    /// Walks past `count` bytes.
    pub(crate) fn skip(&mut self, count: usize) -> Result<()> {
        self.take(count)?;
        let mut left = count;
        while left > self.end - self.start {
            left -= self.end - self.start;
            self.start = 0;
            self.end = 0;
            self.fill()?;
        }
        self.start += left;
        Ok(())
    }

    /// The next `count` bytes, without walking past them; `count` is small.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        if count > self.left {
            return Err(malformed("the message runs past its frame"));
        }
        if self.buffer.len() - self.start < count {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < count {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.start + count])
    }

    /// A big-endian i16.
    pub(crate) fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    /// A big-endian i32.
    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// An unsigned varint.
    pub(crate) fn uvarint(&mut self) -> Result<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a varint of more than 5 bytes"))
    }

    /// The count of a compact array, 0 when it is null.
    pub(crate) fn compact_count(&mut self) -> Result<usize> {
        Ok(self.uvarint()?.saturating_sub(1))
    }

    /// Walks past a compact string or byte string.
    pub(crate) fn skip_compact(&mut self) -> Result<()> {
        let len = self.compact_count()?;
        self.skip(len)
    }

    /// Walks past a section of tagged fields.
    pub(crate) fn skip_tags(&mut self) -> Result<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let len = self.uvarint()?;
            self.skip(len)?;
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.peek(N)?);
        self.take(N)?;
        self.start += N;
        Ok(bytes)
    }

    fn take(&mut self, count: usize) -> Result<()> {
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| malformed("the message runs past its frame"))?;
        Ok(())
    }

    fn fill(&mut self) -> Result<()> {
        match self
            .socket
            .read(&mut self.buffer[self.end..])
            .doing("receiving a response")?
        {
            0 => Err(BenchError::Server(
                "the server closed the connection in the middle of a run".into(),
            )),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }
}

fn malformed(what: &str) -> BenchError {
    BenchError::Malformed(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its bytes at most `step` at a time, as a socket may.
    struct Trickle<'a> {
        bytes: &'a [u8],
        step: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = self.step.min(out.len()).min(self.bytes.len());
            out[..count].copy_from_slice(&self.bytes[..count]);
            self.bytes = &self.bytes[count..];
            Ok(count)
        }
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        [&(body.len() as i32).to_be_bytes()[..], body].concat()
    }

    #[test]
    fn walks_frames_however_they_arrive() {
        let mut body = 7i32.to_be_bytes().to_vec();
        body.extend([0x96, 0x01]);
        body.extend(vec![9; 600_000]);
        body.extend(5i16.to_be_bytes());
        let wire = [frame(&body), frame(&3i32.to_be_bytes())].concat();
        for step in [1, 3, 1000, 1 << 20] {
            let mut reader = FrameReader::new(Trickle { bytes: &wire, step });
            assert_eq!(reader.begin().unwrap(), body.len());
            assert_eq!(reader.i32().unwrap(), 7);
            assert_eq!(reader.uvarint().unwrap(), 150);
            reader.skip(600_000).unwrap();
            assert_eq!(reader.i16().unwrap(), 5);
            reader.finish().unwrap();
            assert_eq!(reader.begin().unwrap(), 4);
            assert_eq!(reader.i32().unwrap(), 3);
            reader.finish().unwrap();
            assert!(matches!(reader.begin(), Err(BenchError::Server(_))));
        }
    }

    #[test]
    fn a_message_that_does_not_fit_its_frame_is_malformed() {
        let wire = frame(&[1, 2, 3]);
        let mut reader = FrameReader::new(&wire[..]);
        reader.begin().unwrap();
        assert!(matches!(reader.i32(), Err(BenchError::Malformed(_))));
        assert!(matches!(reader.finish(), Err(BenchError::Malformed(_))));
        assert!(matches!(reader.skip(4), Err(BenchError::Malformed(_))));
        reader.skip_rest().unwrap();
        reader.finish().unwrap();
    }
}
