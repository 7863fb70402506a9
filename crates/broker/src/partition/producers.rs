//! The producers that a partition knows, for operators.

use ottla_protocol::ids::ProducerId;
use ottla_storage::producer_state::ProducerEntry;

use super::Partition;

impl Partition {
    /// All producers of this partition, by id.
    pub fn producers(&self) -> Vec<(ProducerId, ProducerEntry)> {
        let log = self.log.lock();
        let producers = log.producers().producers();
        let mut producers: Vec<_> = producers.map(|(id, entry)| (id, entry.clone())).collect();
        producers.sort_by_key(|(id, _)| *id);
        producers
    }
}
