//! The raw servers the broker is held against: the least a program can do to move the same bytes.
//!
//! One process serves all of them, a blocking thread for each connection. A connection starts with one
//! [`Job`] line, is answered by one byte, and then does that job until the client hangs up:
//!
//! | job | request | answer |
//! |---|---|---|
//! | sendfile | 64 bytes with a file position | 100-byte header, then a chunk of each file by `sendfile` |
//! | pread | the same | the same bytes through user memory, on tokio |
//! | produce | frames of a known length with batches at known places | CRC checked, written, a short answer |
//! | echo | that many bytes | that many bytes |

mod job;
mod produce;
mod serve;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

pub(crate) use job::{Chunks, Job, Writing};
use produce::Files;

use crate::error::{BenchError, Doing, Result};

/// Bytes of a request for a chunk: length, position, padding.
pub(crate) const REQUEST_LEN: usize = 64;
/// Bytes of the header of a chunk's answer.
pub(crate) const HEADER_LEN: usize = 100;
/// Bytes between the chunks of two partitions, as many as Fetch has there.
pub(crate) const PIECE_LEN: usize = 40;
/// Where the position stands in a request for a chunk.
pub(crate) const POSITION_AT: usize = 4;

/// What the raw servers share.
struct Shared {
    files: Files,
    tokio: tokio::runtime::Runtime,
}

/// Serves until the standard input, which the parent holds open, ends. Prints the address first.
pub(crate) fn serve_until_stdin_ends() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("listening")?;
    let address = listener.local_addr().doing("listening")?;
    println!("{address}");
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .doing("starting tokio")?;
    let shared = Arc::new(Shared {
        files: Files::default(),
        tokio,
    });
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let shared = shared.clone();
            std::thread::spawn(move || match serve(socket, &shared) {
                Ok(()) => {}
                Err(error) => eprintln!("raw server: {error}"),
            });
        }
    });
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .doing("waiting for the end of input")?;
    Ok(())
}

/// Asks the raw server behind `socket` for `job`.
pub(crate) fn request(mut socket: &TcpStream, job: &Job) -> Result<()> {
    socket
        .write_all(job.to_line().as_bytes())
        .doing("sending a job")?;
    let mut ready = [0];
    socket
        .read_exact(&mut ready)
        .doing("waiting for the raw server")
}

fn serve(mut socket: TcpStream, shared: &Shared) -> Result<()> {
    socket.set_nodelay(true).doing("setting TCP_NODELAY")?;
    let mut line = String::new();
    // The client waits for the answer, so nothing behind the line is lost in the reader.
    BufReader::new(&socket)
        .take(64 << 10)
        .read_line(&mut line)
        .doing("reading a job")?;
    let job = Job::parse(&line).ok_or_else(|| BenchError::Malformed(format!("job {line:?}")))?;
    match job {
        Job::Sendfile(chunks) => {
            let files = serve::open(&chunks)?;
            ready(&mut socket)?;
            serve::sendfile_loop(&socket, &files, &chunks)
        }
        Job::Pread(chunks) => {
            let files = serve::open(&chunks)?;
            ready(&mut socket)?;
            shared.tokio.spawn(serve::pread_loop(socket, files, chunks));
            Ok(())
        }
        Job::Produce(writing) => {
            let logs = shared.files.open(&writing)?;
            ready(&mut socket)?;
            produce::append_loop(&socket, &writing, &logs)
        }
        Job::Echo {
            request_len,
            answer_len,
        } => {
            ready(&mut socket)?;
            echo_loop(&socket, request_len, answer_len)
        }
    }
}

fn ready(socket: &mut TcpStream) -> Result<()> {
    socket.write_all(b"k").doing("answering a job")
}

fn echo_loop(mut socket: &TcpStream, request_len: usize, answer_len: usize) -> Result<()> {
    let mut request = vec![0; request_len];
    let mut answer = vec![0; answer_len];
    put_frame_len(&mut answer, answer_len);
    while read_frame(&mut socket, &mut request)? {
        socket.write_all(&answer).doing("answering")?;
    }
    Ok(())
}

/// Fills `frame`; false when the peer hung up before its first byte.
fn read_frame(socket: &mut &TcpStream, frame: &mut [u8]) -> Result<bool> {
    let mut filled = 0;
    while filled < frame.len() {
        match socket
            .read(&mut frame[filled..])
            .doing("receiving a request")?
        {
            0 if filled == 0 => return Ok(false),
            0 => {
                return Err(BenchError::Malformed(
                    "the peer hung up within a request".into(),
                ));
            }
            count => filled += count,
        }
    }
    Ok(true)
}

/// Writes the length of a frame of `whole` bytes, prefix included, to its front.
fn put_frame_len(frame: &mut [u8], whole: usize) {
    frame[..4].copy_from_slice(&((whole - 4) as u32).to_be_bytes());
}

#[cfg(test)]
mod tests;
