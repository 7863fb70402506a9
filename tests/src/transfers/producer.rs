//! A producer of transfers, for a process of its own that may be killed or stopped at any moment.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::{ACCOUNTS, Event, Outcome, Random, Transfer};
use crate::client::Client;
use crate::transactions::{LOST, TransactionalProducer, Version};

/// INVALID_PRODUCER_EPOCH and PRODUCER_FENCED: somebody else has the transactional id.
const FENCED: [i16; 2] = [47, 90];
const TIMEOUT_MS: i32 = 60_000;

/// Transactional id of producer `at`.
pub fn name(at: usize) -> String {
    format!("producer-{at}")
}

/// The version of transactions that producer `at` uses.
pub fn version(at: usize) -> Version {
    Version::ALL[at % 2]
}

/// The group in which producer `at` commits offsets: the number of the transfer.
pub fn group(at: usize) -> String {
    format!("group-{at}")
}

/// Make transfers, numbered from `first`, until another producer has the transactional id. The broker is where the
/// file `address` says at the time.
pub async fn run(at: usize, first: u64, address: &Path) {
    let mut producer = Producer {
        at,
        number: first,
        random: Random(first ^ (at as u64) << 32),
    };
    loop {
        if let Some(mut session) = begin(at, address).await {
            say(&Event::Ready);
            loop {
                let next = producer.transfer(&mut session, address).await;
                producer.number += 1;
                match next {
                    Next::Transfer => {}
                    Next::Session => break,
                    Next::End => {
                        say(&Event::Fenced);
                        return;
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn say(event: &Event) {
    println!("{}", event.line());
}

async fn begin(at: usize, address: &Path) -> Option<TransactionalProducer> {
    let address: SocketAddr = std::fs::read_to_string(address).ok()?.parse().ok()?;
    let client = Client::try_connect(address).await?;
    TransactionalProducer::try_begin(client, &name(at), version(at), TIMEOUT_MS).await
}

struct Producer {
    at: usize,
    number: u64,
    random: Random,
}

/// What a producer can do after a transfer.
enum Next {
    /// Another one.
    Transfer,
    /// Begin with a new epoch.
    Session,
    /// Nothing.
    End,
}

impl Next {
    fn after(code: i16) -> Self {
        match FENCED.contains(&code) {
            true => Self::End,
            false => Self::Session,
        }
    }
}

impl Producer {
    /// Make one transfer.
    async fn transfer(&mut self, session: &mut TransactionalProducer, address: &Path) -> Next {
        let id = format!("{}:{}", self.at, self.number);
        let from = self.random.below(3) as usize;
        let to = (from + 1 + self.random.below(2) as usize) % 3;
        let note = |outcome| {
            say(&Event::Transfer(id.clone(), Transfer { from, to, outcome }));
        };
        note(Outcome::InDoubt);
        let (debit, credit) = (format!("{id} -1"), format!("{id} +1"));
        let (code, _) = session.write(ACCOUNTS[from], 0, &[&debit]).await;
        if code != 0 {
            return Next::after(code);
        }
        if self.random.below(12) == 0 {
            return self
                .replace(session, address, ACCOUNTS[to], &credit, note)
                .await;
        }
        let (code, _) = session.write(ACCOUNTS[to], 0, &[&credit]).await;
        if code != 0 {
            return Next::after(code);
        }
        let offset = i64::try_from(self.number).expect("a small number");
        let group = group(self.at);
        let code = session.commit_offset(&group, ACCOUNTS[0], offset).await;
        if code != 0 {
            return Next::after(code);
        }
        let commits = self.random.below(4) > 0;
        match (session.end(commits).await, commits) {
            (0, true) => note(Outcome::Committed),
            (0, false) => note(Outcome::Aborted),
            (code, _) => return Next::after(code),
        }
        Next::Transfer
    }

    /// Another session takes the id; the old one goes on as if nothing had happened, and must not succeed.
    async fn replace(
        &mut self,
        session: &mut TransactionalProducer,
        address: &Path,
        account: &str,
        credit: &str,
        note: impl Fn(Outcome),
    ) -> Next {
        let Some(next) = begin(self.at, address).await else {
            return Next::Session;
        };
        say(&Event::Ready);
        note(Outcome::Aborted);
        let mut zombie = std::mem::replace(session, next);
        let wrote = zombie.write(account, 0, &[credit]).await.0;
        let ended = zombie.end(true).await;
        if wrote == 0 || ended == 0 {
            let text = format!("a zombie of {} was answered {wrote} and {ended}", zombie.id);
            say(&Event::Violation(text));
        }
        match ended {
            LOST => Next::Session,
            _ => Next::Transfer,
        }
    }
}
