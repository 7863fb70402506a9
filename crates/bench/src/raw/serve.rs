//! Chunks of files to a socket: the `sendfile` loop, and the same bytes through user memory.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::sendfile::sendfile;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Chunks, HEADER_LEN, PIECE_LEN, POSITION_AT, REQUEST_LEN, put_frame_len, read_frame};
use crate::error::{BenchError, Doing, Result};

/// Opens the files of a job.
pub(super) fn open(chunks: &Chunks) -> Result<Vec<File>> {
    chunks
        .files
        .iter()
        .map(|path| File::open(path).doing(format!("opening {}", path.display())))
        .collect()
}

/// Header with MSG_MORE, then for each file a chunk from the position asked for by `sendfile`, then the tail.
pub(super) fn sendfile_loop(mut socket: &TcpStream, files: &[File], chunks: &Chunks) -> Result<()> {
    let mut request = [0; REQUEST_LEN];
    let header = header(chunks);
    while read_frame(&mut socket, &mut request)? {
        let position = position(&request);
        for (index, file) in files.iter().enumerate() {
            let piece = if index == 0 {
                &header[..]
            } else {
                &header[..PIECE_LEN]
            };
            send_all(socket, piece, SendFlags::MORE)?;
            send_file(socket, file, position, chunks.len)?;
        }
        send_all(socket, &header[..chunks.tail], SendFlags::empty())?;
    }
    Ok(())
}

/// The same conversation by `pread` into a buffer and `write`, on tokio.
pub(super) async fn pread_loop(socket: TcpStream, files: Vec<File>, chunks: Chunks) {
    if let Err(error) = pread_until_hang_up(socket, &files, &chunks).await {
        eprintln!("raw server: {error}");
    }
}

async fn pread_until_hang_up(socket: TcpStream, files: &[File], chunks: &Chunks) -> Result<()> {
    socket
        .set_nonblocking(true)
        .doing("making the socket non-blocking")?;
    let mut socket =
        tokio::net::TcpStream::from_std(socket).doing("handing the socket to tokio")?;
    let mut request = [0; REQUEST_LEN];
    let header = header(chunks);
    let mut answer = vec![0; HEADER_LEN + chunks.len + chunks.tail];
    loop {
        match socket.read_exact(&mut request).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other.doing("receiving a request")?,
        };
        let position = position(&request);
        for (index, file) in files.iter().enumerate() {
            let start = if index == 0 {
                0
            } else {
                HEADER_LEN - PIECE_LEN
            };
            let last = index + 1 == files.len();
            let end = HEADER_LEN + chunks.len + if last { chunks.tail } else { 0 };
            answer[start..HEADER_LEN].copy_from_slice(&header[..HEADER_LEN - start]);
            file.read_exact_at(
                &mut answer[HEADER_LEN..HEADER_LEN + chunks.len],
                position as u64,
            )
            .doing("reading a chunk")?;
            socket
                .write_all(&answer[start..end])
                .await
                .doing("sending a chunk")?;
        }
    }
}

fn header(chunks: &Chunks) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let between = (chunks.files.len() - 1) * PIECE_LEN;
    let body = chunks.files.len() * chunks.len + between + chunks.tail;
    put_frame_len(&mut header, HEADER_LEN + body);
    header
}

fn position(request: &[u8; REQUEST_LEN]) -> i64 {
    let mut field = [0; 8];
    field.copy_from_slice(&request[POSITION_AT..POSITION_AT + 8]);
    i64::from_be_bytes(field)
}

fn send_all(socket: &TcpStream, mut bytes: &[u8], flags: SendFlags) -> Result<()> {
    while !bytes.is_empty() {
        let sent = rustix::io::retry_on_intr(|| send(socket, bytes, flags | SendFlags::NOSIGNAL));
        let sent = sent
            .map_err(std::io::Error::from)
            .doing("sending a header or tail")?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

fn send_file(socket: &TcpStream, file: &File, mut position: i64, len: usize) -> Result<()> {
    let mut left = len;
    while left > 0 {
        match retry(|| sendfile(socket, file, Some(&mut position), left)).doing("sendfile")? {
            0 => {
                return Err(BenchError::Malformed(
                    "the file ends before the chunk".into(),
                ));
            }
            sent => left -= sent,
        }
    }
    Ok(())
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}
