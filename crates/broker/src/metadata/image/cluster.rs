//! The nodes of the cluster, as they registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::ids::BrokerId;

use super::ReplayError;
use crate::metadata::record::{
    BrokerEndpoint, BrokerRegistrationChangeRecord, FenceBrokerRecord, MetadataRecord,
    RegisterBrokerRecord, RegisterControllerRecord, UnfenceBrokerRecord, UnregisterBrokerRecord,
};

/// A broker's registration with all later changes to it applied.
///
/// It is held as the record that would state it, as that is what a snapshot needs and nothing less.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerRegistration(RegisterBrokerRecord);

impl BrokerRegistration {
    /// Id of the broker.
    pub fn id(&self) -> BrokerId {
        self.0.broker_id
    }

    /// Epoch of the registration.
    pub fn epoch(&self) -> i64 {
        self.0.broker_epoch
    }

    /// Neither fenced nor about to stop: it may lead, and is told to clients.
    pub fn is_active(&self) -> bool {
        !self.0.fenced && !self.0.in_controlled_shutdown
    }

    /// Where it says clients reach it under the listener called `name`.
    pub fn listener(&self, name: &str) -> Option<&BrokerEndpoint> {
        self.0
            .end_points
            .iter()
            .find(|endpoint| endpoint.name == name)
    }

    /// All that is known about it.
    pub fn record(&self) -> &RegisterBrokerRecord {
        &self.0
    }
}

/// Brokers and controllers. There are few of them, so that the maps are copied whole when one changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterImage {
    brokers: Arc<BTreeMap<BrokerId, Arc<BrokerRegistration>>>,
    controllers: Arc<BTreeMap<i32, Arc<RegisterControllerRecord>>>,
}

impl ClusterImage {
    /// A broker's registration.
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerRegistration> {
        self.brokers.get(&id).map(Arc::as_ref)
    }

    /// Whether the broker is registered, not fenced and not about to stop.
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(BrokerRegistration::is_active)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &BrokerRegistration> {
        self.brokers.values().map(Arc::as_ref)
    }

    pub(super) fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        let registration = Arc::new(BrokerRegistration(record.clone()));
        Arc::make_mut(&mut self.brokers).insert(record.broker_id, registration);
    }

    pub(super) fn unregister_broker(
        &mut self,
        record: &UnregisterBrokerRecord,
    ) -> Result<(), ReplayError> {
        self.registered(record.broker_id, record.broker_epoch)?;
        Arc::make_mut(&mut self.brokers).remove(&record.broker_id);
        Ok(())
    }

    pub(super) fn fence_broker(&mut self, record: &FenceBrokerRecord) -> Result<(), ReplayError> {
        self.registered(record.id, record.epoch)?.fenced = true;
        Ok(())
    }

    pub(super) fn unfence_broker(
        &mut self,
        record: &UnfenceBrokerRecord,
    ) -> Result<(), ReplayError> {
        self.registered(record.id, record.epoch)?.fenced = false;
        Ok(())
    }

    pub(super) fn change_registration(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ReplayError> {
        let fenced = match record.fenced {
            -1 => Some(false),
            0 => None,
            1 => Some(true),
            other => {
                return Err(ReplayError::Meaningless {
                    field: "fenced",
                    value: i64::from(other),
                });
            }
        };
        let in_controlled_shutdown = match record.in_controlled_shutdown {
            0 => None,
            1 => Some(true),
            other => {
                return Err(ReplayError::Meaningless {
                    field: "inControlledShutdown",
                    value: i64::from(other),
                });
            }
        };
        let broker = self.registered(record.broker_id, record.broker_epoch)?;
        broker.fenced = fenced.unwrap_or(broker.fenced);
        broker.in_controlled_shutdown =
            in_controlled_shutdown.unwrap_or(broker.in_controlled_shutdown);
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker
                .cordoned_log_dirs
                .clone_from(&record.cordoned_log_dirs);
        }
        Ok(())
    }

    pub(super) fn register_controller(&mut self, record: &RegisterControllerRecord) {
        Arc::make_mut(&mut self.controllers).insert(record.controller_id, Arc::new(record.clone()));
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.brokers().map(|broker| broker.0.clone().into()));
        records.extend(
            self.controllers
                .values()
                .map(|controller| RegisterControllerRecord::clone(controller).into()),
        );
    }

    /// The registration to be changed by a record that names its epoch.
    fn registered(
        &mut self,
        broker: BrokerId,
        epoch: i64,
    ) -> Result<&mut RegisterBrokerRecord, ReplayError> {
        let registered = self
            .broker(broker)
            .ok_or(ReplayError::UnknownBroker(broker))?
            .epoch();
        if registered != epoch {
            return Err(ReplayError::StaleBrokerEpoch {
                broker,
                registered,
                found: epoch,
            });
        }
        let brokers = Arc::make_mut(&mut self.brokers);
        let registration = brokers
            .get_mut(&broker)
            .ok_or(ReplayError::UnknownBroker(broker))?;
        Ok(&mut Arc::make_mut(registration).0)
    }
}
