//! `meta.properties` and `partition.metadata`: what is understood can be written and is understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_storage::meta_properties::MetaProperties;
use ottla_storage::partition_metadata;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(meta) = MetaProperties::parse(&text) {
        assert_eq!(MetaProperties::parse(&meta.format()), Ok(meta));
    }
    if let Some(id) = partition_metadata::parse(&text) {
        assert_eq!(partition_metadata::parse(&partition_metadata::format(id)), Some(id));
    }
    ottla_storage_fuzz::with_file("partition.metadata", data);
});
