//! `partition.metadata`: the topic id of the log in this directory (`PartitionMetadataFile.java`).
//!
//! ```text
//! version: 0
//! topic_id: AAAAAAAAAAAAAAAAAAAAAQ
//! ```

use std::io;
use std::path::Path;

use ottla_protocol::ids::TopicId;

use crate::error::OpenError;
use crate::fs::{Fs, OpenMode, read_small, write_all_at};
use crate::uuid_text;

/// Name of the file.
pub const FILE_NAME: &str = "partition.metadata";
const MAX_FILE: usize = 4096;

/// The text of the file.
pub fn format(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// The topic id in the text of the file; `None` when it does not read as it should.
pub fn parse(text: &str) -> Option<TopicId> {
    let mut lines = text.lines();
    let version = lines.next()?.strip_prefix("version: ")?;
    let id = lines.next()?.strip_prefix("topic_id: ")?;
    let id = uuid_text::parse(id.trim())?;
    (version.trim() == "0" && !id.is_nil()).then_some(TopicId(id))
}

/// The topic id of the log in `dir`, if it has one. A file of nothing or of zeros is what a power cut leaves of one
/// that was never synced.
pub(crate) fn read(fs: &dyn Fs, dir: &Path) -> Result<Option<TopicId>, OpenError> {
    let path = dir.join(FILE_NAME);
    let io = |error| OpenError::Io {
        dir: dir.to_owned(),
        error,
    };
    let bytes = read_small(fs, &path, MAX_FILE).map_err(io)?;
    let Some(bytes) = bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0)) else {
        return Ok(None);
    };
    let parsed = std::str::from_utf8(&bytes).ok().and_then(parse);
    parsed.map(Some).ok_or_else(|| OpenError::Corrupt {
        path,
        what: "no topic id in it".to_owned(),
    })
}

/// Compare the id in `dir` with the expected one, and write it there when there is none. Returned with the id: that it
/// was written, and has to be synced.
pub(crate) fn check(
    fs: &dyn Fs,
    dir: &Path,
    expected: Option<TopicId>,
) -> Result<(Option<TopicId>, bool), OpenError> {
    match (read(fs, dir)?, expected) {
        (Some(found), Some(expected)) if found != expected => Err(OpenError::TopicId {
            dir: dir.to_owned(),
            found,
            expected,
        }),
        (None, Some(expected)) => {
            write(fs, dir, expected).map_err(|error| OpenError::Io {
                dir: dir.to_owned(),
                error,
            })?;
            Ok((Some(expected), true))
        }
        (found, _) => Ok((found, false)),
    }
}

/// Written without a sync: the first flush of the log does that.
fn write(fs: &dyn Fs, dir: &Path, topic_id: TopicId) -> io::Result<()> {
    let file = fs.open(&dir.join(FILE_NAME), OpenMode::Truncate)?;
    write_all_at(&*file, &[format(topic_id).as_bytes()], 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_out_and_in() {
        let text = format(TopicId::METADATA);
        assert_eq!(text, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(parse(&text), Some(TopicId::METADATA));
        assert_eq!(parse(&(text + "\n")), Some(TopicId::METADATA));
        for broken in [
            "",
            "version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQA",
            "version: 0\ntopic_id: AAAAAAAAAAA AAAAAAAAAQ",
        ] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}
