//! Client quotas: what clients may use of this broker, and how long those who use more are held back.
//!
//! A client that goes over a quota gets its answer at once, with the time it is held back for in `throttle_time_ms`, and
//! no further request is read from its connection for that time (KIP-219). What a quota measures is kept by those who share
//! it ([`QuotaEntity`]), and only where there is one: without quotas a request costs one look at an empty pointer.
//!
//! The parts have no clock and no lock: [`entity`] finds the quota that holds, [`rate`] and [`token_bucket`] measure,
//! [`throttle`] says how long, [`sensors`] forgets. Rules and arithmetic are those of Apache Kafka 4.1
//! (`ClientQuotaManager`, `ClientRequestQuotaManager`, `ControllerMutationQuotaManager`, `ConnectionQuotas`).

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::Clock;
use crate::config::QuotaSettings;
use crate::metadata::delta::MetadataDelta;
use crate::metadata::image::MetadataImage;
use crate::metadata::publisher::MetadataPublisher;

pub mod entity;
mod metrics;
pub mod mutation;
pub mod rate;
pub mod sensors;
pub mod throttle;
pub mod token_bucket;

pub use entity::{QuotaClient, QuotaEntity, QuotaIndex, QuotaKind};
pub use mutation::MutationQuota;
pub use throttle::Throttle;

use rate::{Rate, Windows};
use sensors::Sensors;
use token_bucket::TokenBucket;

/// Entities of one kind of quota that are measured at a time. Beyond, the longest unused begin anew.
const MAX_SENSORS: usize = 10_000;

/// A quota that holds for a client.
#[derive(Clone, Debug)]
pub struct Limit {
    kind: QuotaKind,
    entity: QuotaEntity,
    /// What is allowed a second.
    bound: f64,
}

/// What is measured of one entity.
#[derive(Debug)]
struct Sensor {
    used: Rate,
    /// For mutations alone.
    tokens: TokenBucket,
    throttled_ms: Rate,
}

/// The quotas of all clients and what is used of them.
pub struct ClientQuotas {
    clock: Arc<dyn Clock>,
    windows: Windows,
    mutation_windows: Windows,
    /// Nothing when no quota is set.
    index: ArcSwapOption<QuotaIndex>,
    sensors: [Mutex<Sensors<QuotaEntity, Sensor>>; QuotaKind::ALL.len()],
    connections: Mutex<Sensors<IpAddr, Rate>>,
}

impl ClientQuotas {
    /// Without quotas, until an image is published that has some.
    pub fn new(settings: &QuotaSettings, clock: Arc<dyn Clock>) -> Self {
        let windows = |count: i32, seconds: i32| Windows {
            count: u32::try_from(count).unwrap_or(1).max(1),
            size_ms: i64::from(seconds.max(1)) * 1000,
        };
        Self {
            clock,
            windows: windows(
                settings.quota_window_num,
                settings.quota_window_size_seconds,
            ),
            mutation_windows: windows(
                settings.controller_quota_window_num,
                settings.controller_quota_window_size_seconds,
            ),
            index: ArcSwapOption::empty(),
            sensors: std::array::from_fn(|_| Mutex::new(Sensors::new(MAX_SENSORS))),
            connections: Mutex::new(Sensors::new(MAX_SENSORS)),
        }
    }

    /// Milliseconds of the clock that quotas are measured by.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether anybody has a quota of `kind`.
    pub fn is_set(&self, kind: QuotaKind) -> bool {
        let index = self.index.load();
        index
            .as_ref()
            .is_some_and(|index| index.levels(kind).is_some())
    }

    /// The quota of `kind` that holds for `client`.
    pub fn limit(&self, kind: QuotaKind, client: &QuotaClient<'_>) -> Option<Limit> {
        let index = self.index.load();
        let (entity, bound) = index.as_ref()?.levels(kind)?.find(client)?;
        Some(Limit {
            kind,
            entity,
            bound,
        })
    }

    /// `value` was used of what `limit` allows: how long whoever used it is to be held back, ms.
    pub fn record(&self, limit: &Limit, value: f64, now_ms: i64) -> i32 {
        self.with_sensor(limit, now_ms, |sensor| {
            sensor.used.record(&self.windows, value, now_ms);
            let used = sensor.used.measure(&self.windows, now_ms);
            let window_ms = sensor.used.window_ms(&self.windows, now_ms);
            let throttle_ms = throttle::rate_throttle_ms(used, limit.bound, window_ms);
            match limit.kind {
                QuotaKind::Request => throttle_ms.min(self.window_limit_ms()),
                _ => throttle_ms,
            }
        })
    }

    /// A request of `client` has kept threads busy for `time`.
    pub fn record_request(&self, client: &QuotaClient<'_>, time: Duration, throttle: &Throttle) {
        if let Some(limit) = self.limit(QuotaKind::Request, client) {
            let ms = self.record(&limit, percent(time), self.now_ms());
            throttle.raise(QuotaKind::Request, ms);
        }
    }

    /// Sending the answer of `client` has kept threads busy for `time`. It is the next request that this may hold back.
    pub fn record_send(&self, client: &QuotaClient<'_>, time: Duration) {
        self.record_request(client, time, &Throttle::default());
    }

    /// What was recorded of `value` was not used after all.
    pub fn unrecord(&self, limit: &Limit, value: f64, now_ms: i64) {
        self.with_sensor(limit, now_ms, |sensor| {
            sensor.used.record(&self.windows, -value, now_ms);
        });
    }

    /// The most that can be used at once without being held back (`getMaxValueInQuotaWindow`).
    pub fn most_at_once(&self, limit: &Limit) -> f64 {
        limit.bound * self.windows.complete_seconds()
    }

    /// The quota on mutations for one request of `client`. A strict one refuses what goes beyond it, others only hold the
    /// client back.
    pub fn mutations(
        self: &Arc<Self>,
        client: &QuotaClient<'_>,
        is_strict: bool,
    ) -> Option<Arc<MutationQuota>> {
        let limit = self.limit(QuotaKind::ControllerMutation, client)?;
        Some(Arc::new(MutationQuota::new(
            Arc::clone(self),
            limit,
            is_strict,
        )))
    }

    /// `client` is held back for `time` by its quota of `kind`; for the metrics.
    pub fn throttled(&self, kind: QuotaKind, client: &QuotaClient<'_>, time: Duration) {
        if let Some(limit) = self.limit(kind, client) {
            let now_ms = self.now_ms();
            self.with_sensor(&limit, now_ms, |sensor| {
                let ms = time.as_secs_f64() * 1000.0;
                sensor.throttled_ms.record(&metrics::WINDOWS, ms, now_ms);
            });
        }
    }

    /// A connection from `ip` was opened. `None` lets it in; otherwise it is not served, and is to be closed after that
    /// time (`ConnectionQuotas.recordIpConnectionMaybeThrottle`, KIP-612).
    pub fn connection_opened(&self, ip: IpAddr) -> Option<Duration> {
        let rate = self.index.load().as_ref()?.connection_rate(ip)?;
        let (now_ms, ip) = (self.now_ms(), ip.to_canonical());
        let mut connections = lock(&self.connections);
        let sensor = connections.get(&ip, now_ms, Rate::default);
        sensor.record(&self.windows, 1.0, now_ms);
        let opened = sensor.measure(&self.windows, now_ms);
        let window_ms = sensor.window_ms(&self.windows, now_ms);
        // Kafka counts in whole connections.
        let throttle_ms = throttle::rate_throttle_ms(opened, rate.floor(), window_ms);
        let ms = u64::try_from(throttle_ms.min(self.window_limit_ms())).unwrap_or(0);
        if ms == 0 {
            return None;
        }
        sensor.record(&self.windows, -1.0, now_ms);
        Some(Duration::from_millis(ms))
    }

    /// The longest that some quotas hold anybody back: one window.
    fn window_limit_ms(&self) -> i32 {
        i32::try_from(self.windows.size_ms).unwrap_or(i32::MAX)
    }

    fn with_sensor<R>(
        &self,
        limit: &Limit,
        now_ms: i64,
        use_it: impl FnOnce(&mut Sensor) -> R,
    ) -> R {
        let mut sensors = lock(&self.sensors[limit.kind as usize]);
        use_it(sensors.get(&limit.entity, now_ms, || Sensor {
            used: Rate::default(),
            tokens: TokenBucket::full(now_ms),
            throttled_ms: Rate::default(),
        }))
    }

    /// From now on these quotas hold. What was used of a quota that stays, or changes its value, stays with it.
    fn set(&self, index: QuotaIndex) {
        let index = (!index.is_empty()).then(|| Arc::new(index));
        self.index.store(index.clone());
        for kind in QuotaKind::ALL {
            let levels = index.as_ref().and_then(|index| index.levels(kind));
            let still_holds = |entity: &QuotaEntity| {
                let found = levels.and_then(|levels| levels.find(&entity.client()));
                found.is_some_and(|(found, _)| found == *entity)
            };
            lock(&self.sensors[kind as usize]).retain(still_holds);
        }
        let has_rate = |ip: &IpAddr| {
            let rate = index.as_ref().and_then(|index| index.connection_rate(*ip));
            rate.is_some()
        };
        lock(&self.connections).retain(has_rate);
    }
}

impl MetadataPublisher for ClientQuotas {
    fn publish(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        if delta.client_quotas_changed() {
            self.set(QuotaIndex::new(&image.client_quotas));
        }
    }
}

impl fmt::Debug for ClientQuotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientQuotas")
            .field("windows", &self.windows)
            .field("index", &self.index.load())
            .finish_non_exhaustive()
    }
}

/// Hundredths of one thread, times seconds.
fn percent(time: Duration) -> f64 {
    time.as_secs_f64() * 100.0
}

/// A sensor is whole between any two operations on it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
