//! A request's frame, header and body: must not panic nor ask for more memory than `-malloc_limit_mb`.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::messages::{ApiKey, DescribeConfigsRequest, OffsetCommitRequest, RequestKind};
use ottla_protocol::{api, guard};

fuzz_target!(|data: &[u8]| {
    let mut frame = Bytes::copy_from_slice(data);
    let Ok(header) = api::decode_request_header(&mut frame) else {
        return;
    };
    let (api_key, version) = (header.request_api_key, header.request_api_version);
    match (api_key, version) {
        (8, 1) => drop(api::decode_request::<OffsetCommitRequest>(
            &mut frame, version,
        )),
        (32, 0) => drop(api::decode_request::<DescribeConfigsRequest>(
            &mut frame, version,
        )),
        _ => {
            // What `decode_request` does, without naming every type.
            let Ok(api) = ApiKey::try_from(api_key) else {
                return;
            };
            if guard::check(api_key, version, &frame).is_ok() {
                let _ = RequestKind::decode(api, &mut frame, version);
            }
        }
    }
});
