//! For each key of the dirty part of a log the offset of its last record (`SkimpyOffsetMap.java`), in bounded memory.
//!
//! A key is known by a hash of 128 bits, as in Kafka: keys may be long, and memory is to be bounded by their count. Kafka
//! takes MD5, for which anybody can make two keys with the same hash, so that one of them loses its records. Here it is
//! two SipHashes of 64 bits with keys drawn at random for each map: whoever does not know them cannot do that, and by
//! chance it happens once in 2^128 pairs.
//!
//! An entry takes 24 bytes, as in Kafka; open addressing, no removal.

use std::hash::{BuildHasher, RandomState};

use ottla_protocol::ids::Offset;

/// Two words of hash, and the offset plus one; a free entry is all zero.
type Slot = [u64; 3];

/// Keys and the offsets of their last records.
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    /// Entries that may be taken.
    capacity: usize,
    len: usize,
    hashers: [RandomState; 2],
    /// Every record up to this offset has been put; -1 when none was.
    latest: Offset,
}

impl OffsetMap {
    /// A map of at most `bytes`, filled at most to the share `load_factor`. No more memory is taken than `keys` need.
    /// It has room for one key at least.
    pub(crate) fn new(bytes: usize, load_factor: f64, keys: u64) -> Self {
        let load = load_factor.clamp(0.01, 1.0);
        let most = bytes / size_of::<Slot>();
        // Rounded up, and one more: a search ends at a free slot.
        let wanted = (keys as f64 / load) as usize;
        let slots = wanted.saturating_add(2).min(most).max(2);
        let capacity = ((slots as f64 * load) as usize).clamp(1, slots - 1);
        Self {
            slots: vec![[0; 3]; slots],
            capacity,
            len: 0,
            hashers: [RandomState::new(), RandomState::new()],
            latest: Offset(-1),
        }
    }

    /// Note that the last record of `key` so far is at `offset`. False when there is no room for another key.
    #[must_use]
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let at = self.find(hash);
        let slot = &mut self.slots[at];
        if slot[2] == 0 {
            if self.len == self.capacity {
                return false;
            }
            self.len += 1;
        }
        *slot = [hash[0], hash[1], offset.0 as u64 + 1];
        true
    }

    /// Where the last record of `key` is, as far as the map was told.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.find(self.hash(key))];
        slot[2].checked_sub(1).map(|offset| Offset(offset as i64))
    }

    /// Count of keys.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    /// Every record up to this offset has been put.
    pub(crate) fn latest(&self) -> Offset {
        self.latest
    }

    /// Every record up to `offset` has been put.
    pub(crate) fn set_latest(&mut self, offset: Offset) {
        self.latest = self.latest.max(offset);
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [0, 1].map(|half: usize| self.hashers[half].hash_one(key))
    }

    /// The slot of the key with this hash, or the free one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut at = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot[2] == 0 || slot[..2] == hash {
                return at;
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_last_offset_of_each_key_is_known() {
        let mut map = OffsetMap::new(24 * 1000, 0.9, 1 << 40);
        let mut expected = HashMap::new();
        for offset in 0..5000_i64 {
            let key = format!("key {}", offset * offset % 701);
            assert!(map.put(key.as_bytes(), Offset(offset)));
            expected.insert(key, Offset(offset));
        }
        assert_eq!(map.len(), expected.len());
        for (key, offset) in &expected {
            assert_eq!(map.get(key.as_bytes()), Some(*offset));
        }
        for absent in 0..1000 {
            assert_eq!(map.get(format!("absent {absent}").as_bytes()), None);
        }
        assert!(map.put(b"", Offset(0)), "offset 0 and the empty key");
        assert_eq!(map.get(b""), Some(Offset(0)));
    }

    #[test]
    fn a_full_map_takes_no_new_key_but_still_news_of_old_ones() {
        for (bytes, load, keys, room) in [
            (240, 0.5, 1000, 5),
            (240, 1.0, 1000, 9),
            (0, 0.9, 1000, 1),
            (1 << 30, 0.9, 3, 3),
        ] {
            let mut map = OffsetMap::new(bytes, load, keys);
            assert!(map.bytes() <= bytes.max(48), "{} bytes", map.bytes());
            let put = (0..100_u8).take_while(|key| map.put(&[*key], Offset((*key).into())));
            let put = put.count();
            assert!(put >= room && put <= room + 1, "{put}, not {room}");
            assert!(map.put(&[0], Offset(200)));
            assert_eq!(map.get(&[0]), Some(Offset(200)));
            assert_eq!(map.get(&[99]), None);
        }
    }
}
