//! What is measured of each entity, for as long as it is used, and of no more than so many.

use std::collections::HashMap;
use std::hash::Hash;

/// Who was not heard of for this long is forgotten (`ClientQuotaManagerConfig.INACTIVE_SENSOR_EXPIRATION_TIME_SECONDS`).
const EXPIRY_MS: i64 = 3_600_000;
/// How often the forgotten ones are looked for.
const PURGE_EVERY_MS: i64 = 60_000;

/// Sensors by entity. Times are milliseconds of any clock that does not go back.
#[derive(Debug)]
pub struct Sensors<K, S> {
    used: HashMap<K, Used<S>>,
    max: usize,
    purged_ms: i64,
}

#[derive(Debug)]
struct Used<S> {
    sensor: S,
    last_ms: i64,
}

impl<K: Clone + Eq + Hash, S> Sensors<K, S> {
    /// None yet, and never more than `max`.
    pub fn new(max: usize) -> Self {
        Self {
            used: HashMap::new(),
            max: max.max(1),
            purged_ms: i64::MIN,
        }
    }

    /// The sensor of `key`, which `make` makes when there is none. Where there is no room for it, those that were not used
    /// for longest make it.
    pub fn get(&mut self, key: &K, now_ms: i64, make: impl FnOnce() -> S) -> &mut S {
        if !self.used.contains_key(key) {
            self.make_room(now_ms);
        }
        let used = self.used.entry(key.clone()).or_insert_with(|| Used {
            sensor: make(),
            last_ms: now_ms,
        });
        used.last_ms = now_ms;
        &mut used.sensor
    }

    /// Forget all but those whose key `keep` says of.
    pub fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.used.retain(|key, _| keep(key));
    }

    /// Forget those that were not used for an hour.
    pub fn purge(&mut self, now_ms: i64) {
        self.purged_ms = now_ms;
        self.used
            .retain(|_, used| now_ms - used.last_ms < EXPIRY_MS);
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        self.used
            .iter_mut()
            .map(|(key, used)| (key, &mut used.sensor))
    }

    fn make_room(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.purged_ms) >= PURGE_EVERY_MS {
            self.purge(now_ms);
        }
        if self.used.len() < self.max {
            return;
        }
        // An eighth at once, so that a stream of new ones does not look through all of them each time.
        let mut times: Vec<i64> = self.used.values().map(|used| used.last_ms).collect();
        let (_, latest_to_go, _) = times.select_nth_unstable(self.max / 8);
        let latest_to_go = *latest_to_go;
        let mut to_go = self.max / 8 + 1;
        self.used.retain(|_, used| {
            let goes = to_go > 0 && used.last_ms <= latest_to_go;
            to_go -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(sensors: &mut Sensors<u32, ()>) -> Vec<u32> {
        let mut keys: Vec<u32> = sensors.iter_mut().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn who_is_unused_for_an_hour_is_forgotten() {
        let mut sensors = Sensors::new(10);
        sensors.get(&1, 0, || ());
        sensors.get(&2, 10, || ());
        sensors.get(&1, 20, || ());
        sensors.get(&3, EXPIRY_MS + 9, || ());
        assert_eq!(keys(&mut sensors), [1, 2, 3]);
        sensors.get(&4, EXPIRY_MS + 10 + PURGE_EVERY_MS, || ());
        assert_eq!(keys(&mut sensors), [3, 4]);
        sensors.purge(3 * EXPIRY_MS);
        assert!(keys(&mut sensors).is_empty());
    }

    #[test]
    fn there_are_never_more_than_the_limit_and_the_longest_unused_go() {
        let mut sensors = Sensors::new(16);
        for key in 0..16 {
            sensors.get(&key, i64::from(key), || ());
        }
        sensors.get(&0, 16, || ());
        sensors.get(&16, 17, || ());
        assert_eq!(
            keys(&mut sensors),
            [&[0][..], &(4..=16).collect::<Vec<_>>()].concat()
        );
        for key in 100..10_000 {
            sensors.get(&key, 18, || ());
            assert!(sensors.used.len() <= 16);
            assert!(sensors.used.contains_key(&key));
        }
    }

    #[test]
    fn a_sensor_stays_the_same_one() {
        let mut sensors = Sensors::new(1);
        *sensors.get(&"a", 0, || 1) += 1;
        assert_eq!(*sensors.get(&"a", 1, || 1), 2);
        assert_eq!(*sensors.get(&"b", 2, || 1), 1);
        assert_eq!(*sensors.get(&"a", 3, || 1), 1, "forgotten for b");
        sensors.retain(|key| *key != "a");
        assert_eq!(sensors.iter_mut().count(), 0);
    }
}
