use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind};
use proptest::prelude::*;

use super::*;

/// Writes random messages along their shapes, so that a shape which is not that of the codec shows.
struct Author {
    seed: u64,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

impl Author {
    fn write(shape: &Shape, version: i16, seed: u64) -> Vec<u8> {
        let mut author = Self {
            seed,
            version,
            flexible: version >= shape.flexible,
            out: Vec::new(),
        };
        author.structure(shape.fields);
        author.out
    }

    /// `xorshift64`.
    fn below(&mut self, limit: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % limit
    }

    fn structure(&mut self, fields: &'static [Field]) {
        let in_version = |field: &&Field| field.is_in(self.version);
        let present: Vec<&Field> = fields.iter().filter(in_version).collect();
        for field in present.iter().filter(|field| field.tag.is_none()) {
            self.field(field);
        }
        if self.flexible {
            let mut tagged: Vec<&Field> = present
                .into_iter()
                .filter(|field| field.tag.is_some())
                .collect();
            tagged.sort_by_key(|field| field.tag);
            self.tags(&tagged);
        }
    }

    fn tags(&mut self, tagged: &[&'static Field]) {
        // A tag that is in no schema, sometimes.
        let unknown = self.below(4) == 0;
        varint::put_u32(&mut self.out, tagged.len() as u32 + u32::from(unknown));
        for field in tagged {
            let outer = std::mem::take(&mut self.out);
            self.field(field);
            let content = std::mem::replace(&mut self.out, outer);
            varint::put_u32(&mut self.out, field.tag.unwrap());
            varint::put_u32(&mut self.out, content.len() as u32);
            self.out.extend_from_slice(&content);
        }
        if unknown {
            varint::put_u32(&mut self.out, 1000);
            self.out.extend_from_slice(&[3, b'x', b'y', b'z']);
        }
    }

    fn field(&mut self, field: &'static Field) {
        match &field.kind {
            // Ends in 1: true as a boolean, and no field's default, which the codec would leave out of the tags.
            Kind::Fixed(len) => self.fixed(*len),
            Kind::Text => self.text(),
            Kind::Blob => {
                let len = self.below(40) as usize;
                self.long_len(len);
                self.out.extend(std::iter::repeat_n(0xab, len));
            }
            Kind::Structure(fields) => self.structure(fields),
            Kind::Optional(fields) => match self.below(2) {
                0 => self.out.push(0xff),
                _ => {
                    self.out.push(1);
                    self.structure(fields);
                }
            },
            Kind::Array { element, .. } => {
                let count = self.below(4) as usize;
                self.long_len(count);
                for _ in 0..count {
                    match element {
                        Element::Fixed(len) => self.fixed(*len),
                        Element::Text => self.text(),
                        Element::Structure(fields) => self.structure(fields),
                    }
                }
            }
        }
    }

    fn fixed(&mut self, len: usize) {
        self.out.extend(std::iter::repeat_n(1, len));
    }

    fn text(&mut self) {
        let len = 1 + self.below(20) as usize;
        if self.flexible {
            varint::put_u32(&mut self.out, len as u32 + 1);
        } else {
            self.out.extend_from_slice(&(len as i16).to_be_bytes());
        }
        self.out.extend(std::iter::repeat_n(b't', len));
    }

    fn long_len(&mut self, len: usize) {
        if self.flexible {
            varint::put_u32(&mut self.out, len as u32 + 1);
        } else {
            self.out.extend_from_slice(&(len as i32).to_be_bytes());
        }
    }
}

/// Every API and version that the generated codec decodes: all but the two that `legacy` rewrites. (The ranges of
/// `ApiKey::valid_versions` will not do: they name versions that the codec refuses.)
fn decodable() -> Vec<(&'static Shape, i16)> {
    let legacy = |shape: &Shape, version| [(8, 1), (32, 0)].contains(&(shape.api_key, version));
    let versions =
        |shape: &'static Shape| (shape.oldest..=shape.newest).map(move |version| (shape, version));
    let all = shapes::ALL.iter().copied().flat_map(versions);
    all.filter(|(shape, version)| !legacy(shape, *version))
        .collect()
}

fn any_request() -> impl Strategy<Value = (i16, i16, Vec<u8>)> {
    let author = |((shape, version), seed): ((&'static Shape, i16), u64)| {
        (
            shape.api_key,
            version,
            Author::write(shape, version, seed | 1),
        )
    };
    (prop::sample::select(decodable()), any::<u64>()).prop_map(author)
}

fn decode(api_key: i16, version: i16, body: &[u8]) -> Result<(RequestKind, usize), String> {
    let mut body = Bytes::copy_from_slice(body);
    let decoded = RequestKind::decode(ApiKey::try_from(api_key).unwrap(), &mut body, version);
    decoded
        .map(|request| (request, body.len()))
        .map_err(|error| error.to_string())
}

#[test]
fn shapes_are_those_of_the_codec() {
    for (shape, version) in decodable() {
        for seed in 1..=20u64 {
            let name = ApiKey::try_from(shape.api_key).unwrap();
            let body = Author::write(shape, version, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            assert_eq!(
                check(shape.api_key, version, &body),
                Ok(()),
                "{name:?} {version} seed {seed}"
            );
            let mut walk = Walk::new(&body, version, version >= shape.flexible);
            walk.structure(shape.fields).unwrap();
            assert!(
                walk.left.is_empty(),
                "{name:?} {version} seed {seed}: the guard stops early"
            );

            let (request, left) = decode(shape.api_key, version, &body).unwrap_or_else(|error| {
                panic!("{name:?} {version} seed {seed}: {error}\n{body:?}")
            });
            assert_eq!(
                left, 0,
                "{name:?} {version} seed {seed}: the codec stops early"
            );
            let mut encoded = BytesMut::new();
            request.encode(&mut encoded, version).unwrap();
            assert_eq!(encoded, body, "{name:?} {version} seed {seed}: {request:?}");
        }
    }
}

#[test]
fn what_has_no_shape_is_refused() {
    for shape in shapes::ALL {
        for version in [shape.oldest - 1, shape.newest + 1, i16::MAX, i16::MIN] {
            let unknown = GuardError::UnknownApi {
                api_key: shape.api_key,
                api_version: version,
            };
            assert_eq!(check(shape.api_key, version, &[0; 64]), Err(unknown));
        }
    }
    for api_key in [-1, 4, 52, 93, i16::MAX, i16::MIN] {
        assert!(
            matches!(
                check(api_key, 0, &[0; 64]),
                Err(GuardError::UnknownApi { .. })
            ),
            "{api_key}"
        );
    }
}

#[test]
fn a_count_that_does_not_fit_is_named() {
    let refused = check(3, 1, &[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(
        refused,
        Err(GuardError::Count {
            field: "topics",
            count: 0x7fff_ffff,
            left: 0
        })
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "2147483647 elements of topics cannot stand in the 0 bytes that are left"
    );
}

#[test]
fn null_passes_only_in_versions_that_know_it() {
    // Metadata: no topics at all, then one topic without a name.
    let null_topics = |version| match version {
        9.. => vec![0],
        _ => vec![0xff; 4],
    };
    let null_name = |version| match version {
        10.. => [&[2][..], &[0; 16], &[0, 0]].concat(),
        9.. => vec![2, 0, 0],
        _ => vec![0, 0, 0, 1, 0xff, 0xff],
    };
    // Flags of all kinds, and no tagged fields.
    let checked = |version, mut body: Vec<u8>| {
        body.extend([0; 4]);
        check(3, version, &body)
    };
    for version in 0..=13 {
        let expected = match version {
            0 => Err(GuardError::Null("topics")),
            _ => Ok(()),
        };
        assert_eq!(checked(version, null_topics(version)), expected);
        let expected = match version {
            ..10 => Err(GuardError::Null("name")),
            _ => Ok(()),
        };
        assert_eq!(checked(version, null_name(version)), expected);
    }
}

#[test]
fn small_elements_that_become_large_are_bounded() {
    // 18 bytes of Metadata 1 become more than a hundred in memory: fine for thousands of topics, not for millions.
    let metadata = |count: i32| {
        let mut body = count.to_be_bytes().to_vec();
        body.extend((0..count).flat_map(|_| [0, 0]));
        body
    };
    assert_eq!(check(3, 1, &metadata(20_000)), Ok(()));
    assert_eq!(
        check(3, 1, &metadata(1_000_000)),
        Err(GuardError::Memory("topics"))
    );
}

#[test]
fn a_tagged_field_of_the_wrong_size_is_refused() {
    // Fetch 12: no topics, none forgotten, rack "", then tag 0, the cluster id, of two bytes that claim to be nine.
    let mut body = vec![0; 4 + 13 + 8];
    body.extend_from_slice(&[1, 1, 1, 1, 0, 2, 2, b'c']);
    assert_eq!(check(1, 12, &body), Ok(()));
    body[25 + 5] = 9;
    assert_eq!(check(1, 12, &body), Err(GuardError::TagSize("cluster_id")));
}

#[test]
fn only_some_requests_may_be_large() {
    const CONFIGURED: usize = 100 << 20;
    assert_eq!(frame_max(0, CONFIGURED), CONFIGURED);
    assert_eq!(frame_max(18, CONFIGURED), USUAL_FRAME_MAX);
    assert_eq!(frame_max(12, 1000), 1000);
    assert_eq!(frame_max(9999, CONFIGURED), USUAL_FRAME_MAX);
}

proptest! {
    #[test]
    fn a_message_cut_short_is_refused((api_key, version, body) in any_request(), at in any::<prop::sample::Index>()) {
        prop_assume!(!body.is_empty());
        let cut = &body[..at.index(body.len())];
        prop_assert!(check(api_key, version, cut).is_err(), "{} {} {:?}", api_key, version, cut);
    }

    #[test]
    fn what_passes_does_not_make_the_codec_panic(
        (api_key, version, mut body) in any_request(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        prop_assume!(!body.is_empty());
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        if check(api_key, version, &body).is_ok() {
            let _ = decode(api_key, version, &body);
        }
    }
}
