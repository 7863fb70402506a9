//! The line that tells a raw server what to do on a connection.

use super::HEADER_LEN;
use std::path::{Path, PathBuf};

/// What a raw server does on one connection. On the wire: fields separated by tabs, ended by a line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Serve chunks by `sendfile`.
    Sendfile(Chunks),
    /// Serve chunks by `pread` and `write` on tokio.
    Pread(Chunks),
    /// Check and write batches.
    Produce(Writing),
    /// Answer `request_len` bytes with `answer_len` bytes.
    Echo {
        /// Bytes of a request.
        request_len: usize,
        /// Bytes of an answer.
        answer_len: usize,
    },
}

/// Chunks of `len` bytes out of each of `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    /// Bytes of a chunk.
    pub(crate) len: usize,
    /// Bytes behind the last chunk: 3 in Fetch since version 12.
    pub(crate) tail: usize,
    /// One file for each partition.
    pub(crate) files: Vec<PathBuf>,
}

/// Frames that carry one batch for each of `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writing {
    /// Bytes of a frame, its length included.
    pub(crate) frame_len: usize,
    /// Bytes of a batch.
    pub(crate) batch_len: usize,
    /// Bytes of an answer, its length included.
    pub(crate) answer_len: usize,
    /// Bytes reserved ahead by `fallocate(KEEP_SIZE)` at a time; 0 lets the file grow.
    pub(crate) reserve: usize,
    /// Where the batch of each file starts in the frame.
    pub(crate) batches_at: Vec<usize>,
    /// The file of each batch.
    pub(crate) files: Vec<PathBuf>,
}

impl Job {
    /// The line for the wire.
    pub(crate) fn to_line(&self) -> String {
        let fields = match self {
            Self::Sendfile(chunks) => chunks.fields("sendfile"),
            Self::Pread(chunks) => chunks.fields("pread"),
            Self::Produce(writing) => writing.fields(),
            Self::Echo {
                request_len,
                answer_len,
            } => {
                vec![
                    "echo".into(),
                    request_len.to_string(),
                    answer_len.to_string(),
                ]
            }
        };
        fields.join("\t") + "\n"
    }

    /// Reads a line, or `None` when it is not a job.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_suffix('\n')?.split('\t');
        match fields.next()? {
            "sendfile" => Chunks::parse(fields).map(Self::Sendfile),
            "pread" => Chunks::parse(fields).map(Self::Pread),
            "produce" => Writing::parse(fields).map(Self::Produce),
            "echo" => Some(Self::Echo {
                request_len: number(&mut fields)?,
                answer_len: number(&mut fields)?.max(4),
            }),
            _ => None,
        }
    }
}

impl Chunks {
    fn fields(&self, kind: &str) -> Vec<String> {
        [kind.to_owned(), self.len.to_string(), self.tail.to_string()]
            .into_iter()
            .chain(self.files.iter().map(|file| path(file)))
            .collect()
    }

    fn parse<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let len = number(&mut fields)?;
        let tail = number(&mut fields)?.min(HEADER_LEN);
        let files: Vec<PathBuf> = fields.map(PathBuf::from).collect();
        (!files.is_empty()).then_some(Self { len, tail, files })
    }
}

impl Writing {
    fn fields(&self) -> Vec<String> {
        let numbers = [
            self.frame_len,
            self.batch_len,
            self.answer_len,
            self.reserve,
        ];
        std::iter::once("produce".to_owned())
            .chain(numbers.iter().map(usize::to_string))
            .chain(
                self.batches_at
                    .iter()
                    .zip(&self.files)
                    .flat_map(|(at, file)| [at.to_string(), path(file)]),
            )
            .collect()
    }

    fn parse<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut writing = Self {
            frame_len: number(&mut fields)?,
            batch_len: number(&mut fields)?,
            answer_len: number(&mut fields)?.max(4),
            reserve: number(&mut fields)?,
            batches_at: Vec::new(),
            files: Vec::new(),
        };
        while let Some(at) = fields.next() {
            let at = at.parse().ok()?;
            if writing.frame_len < writing.batch_len.checked_add(at)? {
                return None;
            }
            writing.batches_at.push(at);
            writing.files.push(fields.next()?.into());
        }
        Some(writing)
    }
}

fn number<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<usize> {
    fields.next()?.parse().ok()
}

fn path(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_survive_the_wire() {
        let files = vec![PathBuf::from("/a b/x.log"), PathBuf::from("/y.log")];
        let jobs = [
            Job::Sendfile(Chunks {
                len: 65536,
                tail: 0,
                files: files.clone(),
            }),
            Job::Pread(Chunks {
                len: 1,
                tail: 3,
                files: files.clone(),
            }),
            Job::Produce(Writing {
                frame_len: 500,
                batch_len: 200,
                answer_len: 60,
                reserve: 0,
                batches_at: vec![80, 300],
                files,
            }),
            Job::Echo {
                request_len: 184,
                answer_len: 60,
            },
        ];
        for job in jobs {
            assert_eq!(Job::parse(&job.to_line()), Some(job));
        }
    }

    #[test]
    fn what_is_no_job_is_refused() {
        for line in [
            "",
            "\n",
            "echo\t1\n",
            "sendfile\t5\t0\n",
            "sendfile\tx\t/a\n",
            "produce\t9\t5\t4\t0\t5\t/a\n",
        ] {
            assert_eq!(Job::parse(line), None, "{line:?}");
        }
    }
}
