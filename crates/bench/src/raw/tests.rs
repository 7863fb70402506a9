use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;
use crate::batch;

/// A connection to a raw server on a thread of this process, past the job's handshake.
fn connect(job: &Job) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            files: Files::default(),
            tokio,
        });
        for socket in listener.incoming().flatten() {
            serve(socket, &shared).unwrap_or_default();
        }
    });
    let socket = TcpStream::connect(address).unwrap();
    request(&socket, job).unwrap();
    socket
}

fn ask(mut socket: &TcpStream, position: i64) -> Vec<u8> {
    let mut request = [0; REQUEST_LEN];
    request[POSITION_AT..POSITION_AT + 8].copy_from_slice(&position.to_be_bytes());
    socket.write_all(&request).unwrap();
    let mut len = [0; 4];
    socket.read_exact(&mut len).unwrap();
    let mut rest = vec![0; u32::from_be_bytes(len) as usize];
    socket.read_exact(&mut rest).unwrap();
    rest
}

#[test]
fn both_ways_of_serving_send_the_bytes_of_every_file() {
    let dir = tempfile::tempdir().unwrap();
    let contents: Vec<Vec<u8>> = (0..3u8)
        .map(|file| (0..300_000).map(|at| (at % 251) as u8 ^ file).collect())
        .collect();
    let files: Vec<_> = (0..3)
        .map(|file| dir.path().join(format!("{file}.log")))
        .collect();
    for (path, content) in files.iter().zip(&contents) {
        std::fs::write(path, content).unwrap();
    }
    let chunks = Chunks {
        len: 100_000,
        tail: 3,
        files,
    };
    for job in [Job::Sendfile(chunks.clone()), Job::Pread(chunks)] {
        let socket = connect(&job);
        for position in [0usize, 100_000, 200_000, 7] {
            let answer = ask(&socket, position as i64);
            assert_eq!(
                answer.len(),
                HEADER_LEN - 4 + 3 * 100_000 + 2 * PIECE_LEN + 3
            );
            for (file, content) in contents.iter().enumerate() {
                let at = HEADER_LEN - 4 + file * (100_000 + PIECE_LEN);
                assert!(
                    answer[at..at + 100_000] == content[position..position + 100_000],
                    "{job:?} {position}"
                );
            }
        }
    }
}

#[test]
fn produce_writes_checked_batches_behind_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch::of_size(300_000, 0).unwrap();
    for reserve in [0, 1 << 20] {
        let file = dir.path().join(format!("{reserve}.log"));
        let mut socket = connect(&Job::Produce(Writing {
            frame_len: 8 + batch.len(),
            batch_len: batch.len(),
            answer_len: 20,
            reserve,
            batches_at: vec![8],
            files: vec![file.clone()],
        }));
        let mut frame = vec![0; 8];
        frame.extend_from_slice(&batch);
        for _ in 0..2 {
            socket.write_all(&frame).unwrap();
            let mut answer = [0; 20];
            socket.read_exact(&mut answer).unwrap();
            assert_eq!(answer[..4], 16u32.to_be_bytes());
        }
        let written = std::fs::read(&file).unwrap();
        assert_eq!(written.len(), 600_000);
        assert_eq!(written[300_000..300_008], 300_000u64.to_be_bytes());
        assert!(written[8..300_000] == batch[8..] && written[300_008..] == batch[8..]);

        frame[100] ^= 1;
        socket.write_all(&frame).unwrap();
        assert_eq!(
            socket.read(&mut [0; 20]).unwrap_or(0),
            0,
            "a broken CRC ends the connection"
        );
    }
}

#[test]
fn echo_answers_with_the_length_asked_for() {
    let mut socket = connect(&Job::Echo {
        request_len: 184,
        answer_len: 60,
    });
    for _ in 0..3 {
        socket.write_all(&[7; 184]).unwrap();
        let mut answer = [0; 60];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..4], 56u32.to_be_bytes());
    }
}
