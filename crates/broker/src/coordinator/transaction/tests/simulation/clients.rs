//! Producers as client libraries behave.

use std::collections::BTreeMap;

use ottla_protocol::ResponseError as Error;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};

use super::{
    Answer, Client, Flight, Outcome, PARTITIONS, PATIENCE_MS, Request, Simulation, Stage,
    Transaction, name,
};
use crate::coordinator::transaction::message::Producer;

impl Simulation {
    pub(super) fn arrive(&mut self, id: usize) {
        let client = Client {
            producer: Producer {
                transactional_id: name(id).into(),
                id: ProducerId::NONE,
                epoch: ProducerEpoch::NONE,
            },
            dead: false,
            paused_until: 0,
            waits_for: None,
            sequences: BTreeMap::new(),
            transaction: None,
            added: Vec::new(),
            has_sent: false,
            in_doubt: false,
            tries: 0,
        };
        self.clients.push(client);
        let at = self.clients.len() - 1;
        self.send(at, Request::Initialize(None));
    }

    fn send(&mut self, at: usize, request: Request) {
        self.next_number += 1;
        let (number, now) = (self.next_number, self.now());
        let client = &mut self.clients[at];
        client.waits_for = Some((number, request.clone(), now));
        if !self.calm && self.random.chance(8) {
            return;
        }
        let slow = !self.calm && self.random.chance(10);
        let delay = self.random.below(if slow { 2_500 } else { 60 });
        self.flights.push(Flight {
            client: at,
            number,
            producer: self.clients[at].producer.clone(),
            request,
            arrives: now + delay,
            stage: Stage::Travelling,
        });
    }

    /// What a client does of itself.
    pub(super) fn act(&mut self, at: usize) {
        let now = self.now();
        if self.clients[at].dead || self.clients[at].paused_until > now {
            return;
        }
        if let Some((_, request, since)) = self.clients[at].waits_for.clone() {
            if now >= since + PATIENCE_MS {
                self.repeat(at, request);
            }
            return;
        }
        let (in_doubt, producer) = {
            let client = &self.clients[at];
            (client.in_doubt, client.producer.clone())
        };
        match self.clients[at].transaction {
            // In version 1 sequences in doubt cost an epoch (KIP-360).
            None if in_doubt => {
                self.send(at, Request::Initialize(Some((producer.id, producer.epoch))));
            }
            None if self.calm => {}
            None => {
                let writes = self.random.below(4) + 1;
                self.transactions.push(Transaction {
                    written: Vec::new(),
                    outcome: Outcome::Undecided,
                });
                self.clients[at].transaction = Some((self.transactions.len() - 1, writes));
            }
            Some((_, 0)) => {
                let commits = self.random.chance(70);
                self.send(at, Request::End(commits));
            }
            Some((number, left)) => self.write(at, number, left),
        }
    }

    fn write(&mut self, at: usize, number: usize, left: u64) {
        let partition = self.random.below(PARTITIONS as u64) as usize;
        let client = &mut self.clients[at];
        if !self.v2 && !client.added.contains(&partition) {
            client.has_sent = true;
            return self.send(at, Request::Add(partition));
        }
        client.has_sent = true;
        let sequence = client.sequences.get(&partition).copied().unwrap_or(0);
        let value = format!("{number}.{left}");
        self.send(
            at,
            Request::Write {
                partition,
                sequence,
                value,
            },
        );
    }

    /// No answer: ask again, or give the transaction up.
    fn repeat(&mut self, at: usize, request: Request) {
        if !self.v2 && !matches!(request, Request::Write { .. }) {
            // The old connection is gone, with all that was on it.
            self.flights.retain(|flight| {
                flight.client != at || matches!(flight.request, Request::Write { .. })
            });
        }
        self.clients[at].tries += 1;
        let is_write = matches!(request, Request::Write { .. });
        // Some give up while their write is still on its way.
        let gives_up = self.clients[at].tries > 3 || self.random.chance(20);
        if is_write && gives_up {
            self.clients[at].tries = 0;
            return self.give_up(at);
        }
        self.send(at, request);
    }

    /// A client hears an answer.
    pub(super) fn hear(&mut self, at: usize, request: Request, answer: Answer) {
        let v2 = self.v2;
        let client = &mut self.clients[at];
        client.tries = 0;
        match (request, answer) {
            (Request::Initialize(_), Answer::Given(Ok((id, epoch)))) => {
                client.producer.id = id;
                client.producer.epoch = epoch;
                client.sequences.clear();
                client.in_doubt = false;
            }
            (Request::Add(partition), Answer::Done(Ok(()))) => client.added.push(partition),
            (
                Request::Write {
                    partition,
                    sequence,
                    value,
                },
                Answer::Done(Ok(())),
            ) => {
                client.sequences.insert(partition, sequence + 1);
                let (number, left) = client.transaction.expect("it writes in a transaction");
                client.transaction = Some((number, left - 1));
                self.transactions[number].written.push((partition, value));
            }
            (Request::End(committed), Answer::Given(Ok((id, epoch)))) => {
                let (number, _) = client.transaction.take().expect("it ends a transaction");
                client.added.clear();
                client.has_sent = false;
                if v2 {
                    client.producer.id = id;
                    client.producer.epoch = epoch;
                    client.sequences.clear();
                    client.in_doubt = false;
                }
                let transaction = &mut self.transactions[number];
                // An abort after a commit in doubt tells nothing of the commit.
                if transaction.outcome == Outcome::Undecided {
                    transaction.outcome = match committed {
                        true => Outcome::Committed,
                        false => Outcome::Aborted,
                    };
                }
            }
            (request, Answer::Given(Err(error)) | Answer::Done(Err(error))) => {
                self.hear_error(at, request, error);
            }
            (request, answer) => panic!("{answer:?} to {request:?}"),
        }
    }

    fn hear_error(&mut self, at: usize, request: Request, error: Error) {
        let (now, v2) = (self.now(), self.v2);
        let client = &mut self.clients[at];
        match error {
            Error::ConcurrentTransactions | Error::NotCoordinator => {
                client.waits_for = Some((0, request, now));
            }
            // The producer of version 2 whose transaction was timed out learns its epoch by aborting.
            Error::InvalidProducerEpoch | Error::InvalidTxnState | Error::TransactionAbortable
                if v2 && request != Request::End(false) =>
            {
                self.give_up(at);
            }
            Error::TransactionAbortable | Error::OutOfOrderSequenceNumber => self.give_up(at),
            _ => client.dead = true,
        }
    }

    /// Abort the transaction.
    fn give_up(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.in_doubt = true;
        match client.transaction {
            Some(_) => self.send(at, Request::End(false)),
            None => client.dead = true,
        }
    }
}
