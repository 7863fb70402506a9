//! What the quotas show at a scrape: of each kind, those that use the most.

use super::rate::Windows;
use super::{ClientQuotas, QuotaEntity, QuotaKind, lock};
use crate::telemetry::{Collect, Name, Page};

/// Windows that the average throttle time is of (`metrics.num.samples`, `metrics.sample.window.ms`).
pub(super) const WINDOWS: Windows = Windows {
    count: 2,
    size_ms: 30_000,
};

/// Entities shown of each kind.
const MAX_SERIES: usize = 100;

impl Collect for ClientQuotas {
    fn collect(&self, page: &mut Page) {
        for kind in QuotaKind::ALL {
            for (entity, rate, throttle_ms) in self.busiest(kind) {
                let labels = [kind.name(), &*entity.user, &*entity.client_id];
                if matches!(kind, QuotaKind::Produce | QuotaKind::Fetch) {
                    page.fraction(Name::QuotaByteRate, &labels, rate);
                }
                page.fraction(Name::QuotaThrottleTime, &labels, throttle_ms);
            }
        }
    }
}

impl ClientQuotas {
    /// Entity, rate and average throttle time of those with the highest rates.
    fn busiest(&self, kind: QuotaKind) -> Vec<(QuotaEntity, f64, f64)> {
        let now_ms = self.now_ms();
        let mut sensors = lock(&self.sensors[kind as usize]);
        sensors.purge(now_ms);
        let measured = sensors.iter_mut().map(|(entity, sensor)| {
            let rate = sensor.used.measure(&self.windows, now_ms);
            let throttle_ms = sensor.throttled_ms.average(&WINDOWS, now_ms);
            (entity, rate, throttle_ms)
        });
        let mut measured: Vec<_> = measured.collect();
        measured.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let shown = measured.into_iter().take(MAX_SERIES);
        shown
            .map(|(entity, rate, ms)| (entity.clone(), rate, ms))
            .collect()
    }
}
