//! The quota on partitions that are created and deleted, for the length of one request (KIP-599,
//! `StrictControllerMutationQuota`, `PermissiveControllerMutationQuota`).

use std::sync::{Arc, Mutex};

use super::throttle::bucket_throttle_ms;
use super::{ClientQuotas, Limit, lock};

/// What one request may change. The controller takes from it by topic, on its own thread.
#[derive(Debug)]
pub struct MutationQuota {
    quotas: Arc<ClientQuotas>,
    limit: Limit,
    is_strict: bool,
    /// How long to wait, and from when on.
    throttle: Mutex<Option<(i32, i64)>>,
}

impl MutationQuota {
    pub(super) fn new(quotas: Arc<ClientQuotas>, limit: Limit, is_strict: bool) -> Self {
        Self {
            quotas,
            limit,
            is_strict,
            throttle: Mutex::default(),
        }
    }

    /// Whether `partitions` may be created or deleted. A strict quota is exceeded when those before used it up; what it
    /// lets pass never holds the client back. Others let everything pass, and hold it back as soon as they are used up.
    pub fn take(&self, partitions: usize) -> bool {
        let now_ms = self.quotas.now_ms();
        let (windows, bound) = (self.quotas.mutation_windows, self.limit.bound);
        let left = self.quotas.with_sensor(&self.limit, now_ms, |sensor| {
            let left = sensor.tokens.refill(&windows, bound, now_ms);
            if self.is_strict && left < 0.0 {
                return left;
            }
            sensor
                .tokens
                .take(&windows, bound, partitions as f64, now_ms);
            match self.is_strict {
                true => left,
                false => sensor.tokens.refill(&windows, bound, now_ms),
            }
        });
        if left < 0.0 {
            *lock(&self.throttle) = Some((bucket_throttle_ms(left, bound), now_ms));
        }
        !self.is_strict || left >= 0.0
    }

    /// How much longer the client is to be held back, ms.
    pub fn throttle_ms(&self) -> i32 {
        let Some((ms, since_ms)) = *lock(&self.throttle) else {
            return 0;
        };
        let left = i64::from(ms) - (self.quotas.now_ms() - since_ms);
        i32::try_from(left.max(0)).unwrap_or(i32::MAX)
    }
}
