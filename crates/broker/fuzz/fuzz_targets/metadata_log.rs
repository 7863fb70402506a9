//! The metadata log: a segment or snapshot of arbitrary bytes. The checksums are made right, or nothing would get past
//! them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ottla_broker::metadata::batch_file::BatchFile;
use ottla_broker::metadata::loader::MetadataLoader;
use ottla_broker::metadata::raft_batch::{Content, decode};
use ottla_broker::metadata::{dump, offline};
use ottla_protocol::record::BatchHeader;
use ottla_protocol::record::batch::{CRC_AT, CRC_START, crc32c};
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::{Fs, OpenMode, write_all_at};
use ottla_storage::inspect::verify::dir::verify_dir;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    seal(&mut bytes);
    let fs = CrashFs::default();
    let dir = Path::new("/data/__cluster_metadata-0");
    fs.create_dir(dir).expect("a directory");
    for name in ["00000000000000000000.log", "00000000000000000007-0000000001.checkpoint"] {
        let path = dir.join(name);
        let file = fs.open(&path, OpenMode::Truncate).expect("a file");
        write_all_at(&*file, &[&bytes], 0).expect("room");
        replay(&fs, &path);
        let _ = dump::dump(&fs, &path, &mut std::io::sink());
    }
    let data = Path::new("/data");
    let mut report = verify_dir(&fs, data, 1).expect("files that can be read");
    let _ = offline::check_topics(&fs, data, &mut report);
});

/// Give every batch the checksum of its content.
fn seal(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(size) = BatchHeader::read(&bytes[at..]).and_then(|header| header.size()) {
        let Some(batch) = bytes.get_mut(at..at + size) else {
            return;
        };
        let crc = crc32c(&batch[CRC_START..]);
        batch[CRC_AT..CRC_START].copy_from_slice(&crc.to_be_bytes());
        at += size;
    }
}

fn replay(fs: &dyn Fs, path: &Path) {
    let mut loader = MetadataLoader::new(Default::default());
    let mut file = BatchFile::open(fs, path).expect("a file");
    while let Ok(Some((header, body))) = file.next_batch() {
        if let Ok(Content::Metadata(records)) = decode(&header, &body) {
            for record in &records {
                let _ = loader.replay_snapshot(record);
            }
        }
    }
    let _ = loader.latest().to_records();
}
