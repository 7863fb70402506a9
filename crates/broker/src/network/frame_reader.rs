//! Cuts a connection's bytes into request frames: four bytes of length, then that many bytes.
//!
//! A connection that waits for its next request holds no buffer at all. One that has bytes reads them into a
//! buffer of 64 KiB, from which frames are split without copying; a longer frame gets a buffer of its exact
//! length, charged to the memory that all connections share (`queued.max.request.bytes`).

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of the usual read buffer, and the longest frame that is not charged to the shared memory.
const BUFFER_BYTES: usize = 64 * 1024;
const LENGTH_BYTES: usize = 4;
/// One permit of [`RequestMemory`] stands for this many bytes.
const MEMORY_UNIT: usize = 1024;

/// Why no further frame comes from a connection.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length field is negative or above `socket.request.max.bytes`. Often a client that speaks TLS or HTTP.
    #[error("frame of {length} bytes, where 1 to {max} are allowed (socket.request.max.bytes)")]
    Length {
        /// What the length field says.
        length: i32,
        /// The limit.
        max: usize,
    },
    /// The peer closed in the middle of a frame.
    #[error("closed within a frame, after {got} of its bytes")]
    Truncated {
        /// Bytes that had come.
        got: usize,
    },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The memory that large requests of all connections together may take.
#[derive(Debug, Clone)]
pub struct RequestMemory {
    permits: Arc<Semaphore>,
    total: u32,
}

impl RequestMemory {
    /// Room for `bytes`, rounded up to whole KiB.
    pub fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes.div_ceil(MEMORY_UNIT))
            .unwrap_or(u32::MAX)
            .min(Semaphore::MAX_PERMITS as u32);
        Self {
            permits: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// Wait until `bytes` are free. A request larger than everything there is waits for everything.
    async fn acquire(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(MEMORY_UNIT))
            .unwrap_or(u32::MAX)
            .min(self.total);
        Arc::clone(&self.permits)
            .acquire_many_owned(units)
            .await
            .expect("invariant: nobody closes the semaphore of request memory")
    }
}

/// A request as it came, without its length field; gives its memory back when dropped.
#[derive(Debug)]
pub struct Frame {
    /// Header and body.
    pub bytes: Bytes,
    _charge: Option<OwnedSemaphorePermit>,
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    max_frame: usize,
    memory: RequestMemory,
    charge: Option<OwnedSemaphorePermit>,
}

impl FrameReader {
    /// A reader that refuses frames above `max_frame` bytes.
    pub fn new(max_frame: usize, memory: RequestMemory) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_frame,
            memory,
            charge: None,
        }
    }

    /// The next frame, or `None` when the peer closed between frames.
    ///
    /// Safe to cancel: what has been read stays in the reader.
    pub async fn next(&mut self, stream: &mut TcpStream) -> Result<Option<Frame>, FrameError> {
        loop {
            let wanted = match self.frame_length()? {
                Some(length) if self.buffer.len() >= LENGTH_BYTES + length => {
                    return Ok(Some(self.split(length)));
                }
                Some(length) => LENGTH_BYTES + length,
                None => LENGTH_BYTES,
            };
            self.make_room(wanted, stream).await?;
            // `read_buf` knows from a short read that the socket is empty, which saves the read that would tell.
            match stream.read_buf(&mut self.buffer).await {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => {
                    return Err(FrameError::Truncated {
                        got: self.buffer.len(),
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn frame_length(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*prefix);
        match usize::try_from(length) {
            Ok(bytes) if (1..=self.max_frame).contains(&bytes) => Ok(Some(bytes)),
            _ => Err(FrameError::Length {
                length,
                max: self.max_frame,
            }),
        }
    }

    fn split(&mut self, length: usize) -> Frame {
        let mut bytes = self.buffer.split_to(LENGTH_BYTES + length).freeze();
        let bytes = bytes.split_off(LENGTH_BYTES);
        Frame {
            bytes,
            _charge: self.charge.take(),
        }
    }

    /// Make the buffer able to hold `wanted` bytes, counted from its start.
    async fn make_room(&mut self, wanted: usize, stream: &TcpStream) -> Result<(), FrameError> {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            stream.readable().await?;
        }
        if wanted > BUFFER_BYTES && self.charge.is_none() {
            self.charge = Some(self.memory.acquire(wanted).await);
        }
        if self.buffer.capacity() < wanted || self.buffer.capacity() == self.buffer.len() {
            let target = wanted.max(BUFFER_BYTES);
            self.buffer.reserve(target - self.buffer.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    fn frame(length: usize, fill: u8) -> Vec<u8> {
        let mut bytes = (length as u32).to_be_bytes().to_vec();
        bytes.resize(4 + length, fill);
        bytes
    }

    #[tokio::test]
    async fn splits_frames_of_every_size_in_order() {
        let (mut client, mut server) = pair().await;
        let sizes = [
            1,
            5,
            70_000,
            3,
            BUFFER_BYTES - 4,
            BUFFER_BYTES,
            BUFFER_BYTES + 1,
            2_000_000,
            9,
        ];
        let writer = tokio::spawn(async move {
            for (i, size) in sizes.iter().enumerate() {
                client.write_all(&frame(*size, i as u8)).await.unwrap();
            }
            client
        });
        let memory = RequestMemory::new(4 << 20);
        let mut reader = FrameReader::new(3_000_000, memory.clone());
        for (i, size) in sizes.iter().enumerate() {
            let frame = reader.next(&mut server).await.unwrap().unwrap();
            assert_eq!(frame.bytes.len(), *size);
            assert!(frame.bytes.iter().all(|byte| *byte == i as u8));
        }
        assert_eq!(
            memory.permits.available_permits(),
            4096,
            "all memory is given back"
        );
        drop(writer.await.unwrap());
        assert!(reader.next(&mut server).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn refuses_lengths_out_of_range_and_cut_frames() {
        for length in [0_i32, -1, i32::MIN, 101, i32::MAX] {
            let (mut client, mut server) = pair().await;
            client.write_all(&length.to_be_bytes()).await.unwrap();
            let error = FrameReader::new(100, RequestMemory::new(1))
                .next(&mut server)
                .await
                .unwrap_err();
            assert!(
                matches!(error, FrameError::Length { .. }),
                "{length}: {error}"
            );
        }
        let (mut client, mut server) = pair().await;
        client.write_all(&frame(50, 1)[..20]).await.unwrap();
        drop(client);
        let error = FrameReader::new(100, RequestMemory::new(1))
            .next(&mut server)
            .await
            .unwrap_err();
        assert!(
            matches!(error, FrameError::Truncated { got: 20 }),
            "{error}"
        );
    }
}
