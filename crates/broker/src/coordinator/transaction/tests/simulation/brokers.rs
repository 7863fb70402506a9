//! The network, the coordinator's work, and what the handlers of a broker do between them.

use std::sync::Arc;

use ottla_protocol::ResponseError as Error;
use ottla_storage::append::AppendOrigin;
use ottla_storage::error::AppendError;

use super::super::world::{batch, indexes, named};
use super::{Answer, Fault, Flight, Request, Simulation, Stage, TIMEOUT_MS};
use crate::coordinator::transaction::message::{
    Producer, TransactionRequest, TransactionResponse, Work,
};
use crate::partition::verification::{Verification, VerificationGuard};

impl Simulation {
    pub(super) fn take_work(&mut self) {
        for work in std::mem::take(&mut self.world.work) {
            match work {
                Work::WriteMarkers(markers) => {
                    let left = indexes(&markers.partitions);
                    let due = self.now() + self.random.below(200);
                    self.markers.push((markers, left, due));
                }
                Work::NewProducerId(_) => panic!("no epoch is used up here"),
            }
        }
    }

    pub(super) fn write_markers(&mut self) {
        let now = self.now();
        for (markers, mut left, due) in std::mem::take(&mut self.markers) {
            if due > now {
                self.markers.push((markers, left, due));
                continue;
            }
            // Now and then a write fails and is tried again.
            if !self.calm && self.random.chance(10) {
                self.markers.push((markers, left, now + 50));
                continue;
            }
            let partition = left.pop().expect("markers have partitions");
            let faulty = left.len() == 1 && self.random.chance(30);
            match self.fault {
                Fault::LostMarker if faulty => {}
                Fault::FlippedMarker if faulty => {
                    self.world
                        .write_marker(&markers, partition, !markers.committed);
                }
                _ => self
                    .world
                    .write_marker(&markers, partition, markers.committed),
            }
            match left.is_empty() {
                true => {
                    let written = |_| TransactionRequest::MarkersWritten(markers.producer.clone());
                    self.world.send(written);
                }
                false => {
                    let next = now + self.random.below(100);
                    self.markers.push((markers, left, next));
                }
            }
        }
    }

    /// Requests that arrive are handled, and answers that are there travel back.
    pub(super) fn deliver(&mut self) {
        let now = self.now();
        for flight in std::mem::take(&mut self.flights) {
            if flight.arrives > now {
                self.flights.push(flight);
                continue;
            }
            let (client, number, request) = (flight.client, flight.number, flight.request.clone());
            let Some(answer) = self.handle(flight) else {
                continue;
            };
            self.check_fencing(client, &request, &answer);
            let is_lost = !self.calm && self.random.chance(8);
            let waits = self.clients[client].waits_for.as_ref();
            if !is_lost && waits.is_some_and(|(waited, ..)| *waited == number) {
                self.clients[client].waits_for = None;
                self.hear(client, request, answer);
            }
        }
    }

    /// Take a flight one step further; the answer when there is one.
    fn handle(&mut self, mut flight: Flight) -> Option<Answer> {
        let now = self.now();
        if self.fault == Fault::Unfenced
            && let Some(known) = self.world.shard.get(&flight.producer.transactional_id)
        {
            flight.producer.id = known.producer_id;
            flight.producer.epoch = known.producer_epoch;
        }
        match flight.stage {
            Stage::Asked(ticket) => match self.world.take(ticket) {
                None => {
                    self.flights.push(flight);
                    None
                }
                Some(TransactionResponse::Producer(given)) => Some(Answer::Given(given)),
                Some(TransactionResponse::Done(done)) => Some(Answer::Done(done)),
                Some(other) => panic!("{other:?}"),
            },
            Stage::Travelling => match flight.request {
                Request::Write { partition, .. } => match self.admit(&flight.producer, partition) {
                    Ok(guard) => {
                        flight.stage = Stage::Admitted(guard);
                        let slow = !self.calm && self.random.chance(10);
                        let delay = self.random.below(if slow { 1_500 } else { 50 });
                        flight.arrives = now + delay;
                        self.flights.push(flight);
                        None
                    }
                    Err(error) => Some(Answer::Done(Err(error))),
                },
                _ => {
                    flight.stage = Stage::Asked(self.ask(&flight));
                    self.flights.push(flight);
                    None
                }
            },
            Stage::Admitted(guard) => Some(Answer::Done(self.append(&flight, guard))),
        }
    }

    fn ask(&mut self, flight: &Flight) -> u64 {
        let client_version = if self.v2 { 2 } else { 0 };
        let producer = || flight.producer.clone();
        match flight.request {
            Request::Initialize(expected) => {
                self.world
                    .send(|new_id| TransactionRequest::InitProducerId {
                        transactional_id: producer().transactional_id,
                        timeout_ms: TIMEOUT_MS,
                        expected,
                        new_id,
                    })
            }
            Request::Add(partition) => self.world.send(|_| TransactionRequest::AddPartitions {
                producer: producer(),
                partitions: named(&[partition]),
                client_version,
            }),
            Request::End(committed) => self.world.send(|new_id| TransactionRequest::EndTxn {
                producer: producer(),
                committed,
                client_version,
                new_id,
            }),
            Request::Write { .. } => unreachable!("writes go to partitions"),
        }
    }

    /// What `handlers::transaction_request::leave` does.
    fn admit(
        &mut self,
        producer: &Producer,
        partition: usize,
    ) -> Result<Option<VerificationGuard>, Error> {
        let log = &self.world.partitions[partition];
        let Verification::Needed(guard) =
            log.begin_verification(producer.id, producer.epoch, self.v2)
        else {
            return Ok(None);
        };
        if self.fault == Fault::Unverified {
            return Ok(Some(guard));
        }
        let ticket = match self.v2 {
            true => self.world.send(|_| TransactionRequest::AddPartitions {
                producer: producer.clone(),
                partitions: named(&[partition]),
                client_version: 2,
            }),
            false => self.world.send(|_| TransactionRequest::VerifyPartitions {
                producer: producer.clone(),
                partitions: named(&[partition]),
            }),
        };
        let outcome = match self.world.take(ticket) {
            Some(TransactionResponse::Done(outcome)) => outcome,
            Some(TransactionResponse::Verified(Ok(missing))) => match missing.is_empty() {
                true => Ok(()),
                false => Err(Error::TransactionAbortable),
            },
            Some(TransactionResponse::Verified(Err(error))) => Err(error),
            other => panic!("{other:?}"),
        };
        if outcome.is_err() {
            self.world.partitions[partition].end_verification(producer.id, guard);
        }
        outcome.map(|()| Some(guard))
    }

    fn append(&mut self, flight: &Flight, guard: Option<VerificationGuard>) -> Result<(), Error> {
        let Request::Write {
            partition,
            sequence,
            value,
        } = &flight.request
        else {
            unreachable!("only writes are admitted");
        };
        let (producer, now) = (&flight.producer, self.world.now.wall);
        let log = &self.world.partitions[*partition];
        let batch = batch(producer, *sequence, value, now);
        let appended = match self.fault {
            Fault::Unverified => log.append(batch, AppendOrigin::Client, now),
            _ => log.append_verified(batch, AppendOrigin::Client, guard, now),
        };
        if let Some(guard) = guard {
            log.end_verification(producer.id, guard);
        }
        appended.map(drop).map_err(|error| match error {
            AppendError::InvalidProducerEpoch { .. } => Error::InvalidProducerEpoch,
            AppendError::OutOfOrderSequence { .. } => Error::OutOfOrderSequenceNumber,
            AppendError::InvalidTxnState(_) => Error::InvalidTxnState,
            error => panic!("{error}"),
        })
    }

    /// Once a producer has been replaced, it commits nothing more.
    fn check_fencing(&mut self, at: usize, request: &Request, answer: &Answer) {
        let id = Arc::clone(&self.clients[at].producer.transactional_id);
        match (request, answer) {
            (Request::Initialize(_), Answer::Given(Ok(_))) => {
                self.latest.insert(id, at);
            }
            (Request::End(true), Answer::Given(Ok(_))) => {
                assert_eq!(
                    self.latest.get(&id),
                    Some(&at),
                    "{id}: a replaced producer commits"
                );
            }
            _ => {}
        }
    }
}
