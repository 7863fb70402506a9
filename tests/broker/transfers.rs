//! Transfers between accounts: each is a transaction that debits one partition, credits another and commits an offset.
//! Producers of both versions abort at random, are replaced in the middle and go on as zombies, while the broker is
//! killed again and again. In the end no transfer is lost, torn or doubled, and none was seen before it was decided.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::{FetchRequest, FindCoordinatorRequest, OffsetFetchRequest};
use ottla_tests::client::{Client, fetch_request};
use ottla_tests::process::BrokerProcess;
use ottla_tests::records;
use ottla_tests::transactions::{LOST, TransactionalProducer, Version, committed_values};
use tempfile::TempDir;
use tokio::sync::watch;

/// How often the broker is killed; `OTTLA_KILLS` says otherwise.
const KILLS: u64 = 6;
/// Transactional ids that work at once.
const PRODUCERS: usize = 4;
/// Fewest transfers that make a run worth something.
const ENOUGH: usize = 200;
const ACCOUNTS: [&str; 3] = ["account-a", "account-b", "account-c"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Committed,
    Aborted,
    InDoubt,
}

/// A transfer as its producer knows it.
#[derive(Clone, Debug)]
struct Transfer {
    from: usize,
    to: usize,
    outcome: Outcome,
}

/// All transfers by name, `<producer>:<number>`.
type Ledger = BTreeMap<String, Transfer>;

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    violations: Mutex<Vec<String>>,
}

/// A small generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transfer_is_lost_torn_doubled_or_seen_too_early() {
    let kills = std::env::var("OTTLA_KILLS");
    let kills = kills.ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let dir = TempDir::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ottla-under-test"));
    let mut broker = BrokerProcess::start(program, dir.path());
    let mut client = Client::connect(broker.addr()).await;
    for account in ACCOUNTS {
        client.create_topic(account, 1, &[]).await;
    }
    let shared = Arc::new(Shared::default());
    let (address, addresses) = watch::channel(Some(broker.addr()));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|at| tokio::spawn(work(at, addresses.clone(), Arc::clone(&shared))))
        .collect();
    let reader = tokio::spawn(read(addresses.clone()));
    let mut random = Random(7);
    let mut killed = 0;
    // Slow machines get the time they need.
    while killed < kills || shared.ledger.lock().unwrap().len() < ENOUGH {
        tokio::time::sleep(Duration::from_millis(500 + random.below(1_000))).await;
        broker.kill();
        broker = BrokerProcess::start(program, dir.path());
        address.send_replace(Some(broker.addr()));
        killed += 1;
    }
    address.send_replace(None);
    for producer in producers {
        producer.await.unwrap();
    }
    let seen = reader.await.unwrap();
    broker.kill();
    let broker = BrokerProcess::start(program, dir.path());
    let mut client = Client::connect(broker.addr()).await;
    // What is still open is aborted by the next to come.
    for at in 0..PRODUCERS {
        let connection = Client::connect(broker.addr()).await;
        TransactionalProducer::begin(connection, &name(at), version(at), 60_000).await;
    }
    let mut accounts = Vec::new();
    for account in ACCOUNTS {
        accounts.push(committed_values(&mut client, account).await);
    }
    let ledger = shared.ledger.lock().unwrap().clone();
    let count = |outcome| ledger.values().filter(|t| t.outcome == outcome).count();
    println!(
        "{killed} kills, {} committed, {} aborted, {} in doubt",
        count(Outcome::Committed),
        count(Outcome::Aborted),
        count(Outcome::InDoubt)
    );
    assert_eq!(*shared.violations.lock().unwrap(), [""; 0]);
    check(&ledger, &accounts).unwrap();
    for (account, seen) in accounts.iter().zip(&seen) {
        assert!(
            account.starts_with(seen),
            "what was read is there, in its order"
        );
    }
    check_offsets(&mut client, &ledger, &accounts).await;
    assert!(count(Outcome::Committed) > ENOUGH / 4);
    faults_are_caught(&ledger, &accounts);
}

fn name(at: usize) -> String {
    format!("producer-{at}")
}

fn version(at: usize) -> Version {
    Version::ALL[at % 2]
}

/// Make transfers until there is no broker any more.
async fn work(at: usize, mut addresses: watch::Receiver<Option<SocketAddr>>, shared: Arc<Shared>) {
    let mut random = Random(at as u64);
    let mut number = 0;
    loop {
        let Some(address) = *addresses.borrow_and_update() else {
            return;
        };
        if let Some(client) = Client::try_connect(address).await {
            let id = name(at);
            let begun = TransactionalProducer::try_begin(client, &id, version(at), 60_000);
            if let Some(mut producer) = begun.await {
                while transfer(&mut producer, address, &mut random, at, number, &shared).await {
                    number += 1;
                    if addresses.borrow().is_none() {
                        return;
                    }
                }
            }
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Make one transfer; false when the producer cannot go on.
async fn transfer(
    producer: &mut TransactionalProducer,
    address: SocketAddr,
    random: &mut Random,
    at: usize,
    number: u64,
    shared: &Shared,
) -> bool {
    let id = format!("{at}:{number}");
    let from = random.below(3) as usize;
    let to = (from + 1 + random.below(2) as usize) % 3;
    let note = |outcome| {
        let transfer = Transfer { from, to, outcome };
        shared
            .ledger
            .lock()
            .expect("nobody panicked")
            .insert(id.clone(), transfer);
    };
    note(Outcome::InDoubt);
    let (debit, credit) = (format!("{id} -1"), format!("{id} +1"));
    if producer.write(ACCOUNTS[from], 0, &[&debit]).await.0 != 0 {
        return false;
    }
    if random.below(12) == 0 {
        return replace(producer, address, &credit, to, note, shared).await;
    }
    if producer.write(ACCOUNTS[to], 0, &[&credit]).await.0 != 0 {
        return false;
    }
    let group = format!("group-{at}");
    let offset = i64::try_from(number).expect("a small number");
    if producer.commit_offset(&group, ACCOUNTS[0], offset).await != 0 {
        return false;
    }
    let commits = random.below(4) > 0;
    match (producer.end(commits).await, commits) {
        (0, true) => note(Outcome::Committed),
        (0, false) => note(Outcome::Aborted),
        _ => return false,
    }
    true
}

/// Another producer takes the id; the old one goes on as if nothing had happened, and must not succeed.
async fn replace(
    producer: &mut TransactionalProducer,
    address: SocketAddr,
    credit: &str,
    to: usize,
    note: impl Fn(Outcome),
    shared: &Shared,
) -> bool {
    let Some(client) = Client::try_connect(address).await else {
        return false;
    };
    let id = producer.id.clone();
    let begun = TransactionalProducer::try_begin(client, &id, producer.version, 60_000);
    let Some(next) = begun.await else {
        return false;
    };
    note(Outcome::Aborted);
    let mut zombie = std::mem::replace(producer, next);
    let wrote = zombie.write(ACCOUNTS[to], 0, &[credit]).await.0;
    let ended = zombie.end(true).await;
    if wrote == 0 || ended == 0 {
        let violation = format!("a zombie of {id} was answered {wrote} and {ended}");
        shared
            .violations
            .lock()
            .expect("nobody panicked")
            .push(violation);
    }
    ended != LOST
}

/// Read committed data all the while; what was seen of each account.
async fn read(mut addresses: watch::Receiver<Option<SocketAddr>>) -> Vec<Vec<String>> {
    let mut readers = vec![Reader::default(); ACCOUNTS.len()];
    loop {
        let Some(address) = *addresses.borrow_and_update() else {
            return readers.into_iter().map(|reader| reader.seen).collect();
        };
        if let Some(mut client) = Client::try_connect(address).await {
            while read_all(&mut client, &mut readers).await && addresses.borrow().is_some() {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Clone, Default)]
struct Reader {
    next: i64,
    seen: Vec<String>,
    aborting: Vec<i64>,
}

async fn read_all(client: &mut Client, readers: &mut [Reader]) -> bool {
    for (account, reader) in ACCOUNTS.iter().zip(readers) {
        let request = fetch_request(account, &[(0, reader.next)], 1 << 20)
            .with_isolation_level(1)
            .with_max_wait_ms(5);
        let Some(mut response) = client.try_call::<FetchRequest>(12, &request).await else {
            return false;
        };
        let data = response.responses.remove(0).partitions.remove(0);
        assert_eq!(data.error_code, 0);
        let mut aborted = data.aborted_transactions.unwrap_or_default();
        aborted.sort_by_key(|transaction| transaction.first_offset);
        let mut aborted = aborted.into_iter().peekable();
        for (header, batch) in records::batches(&data.records.unwrap_or_default()) {
            if header.last_offset().0 < reader.next {
                continue;
            }
            while let Some(begun) = aborted.next_if(|t| t.first_offset <= header.last_offset().0) {
                reader.aborting.push(begun.producer_id.0);
            }
            let producer = header.producer_id().0;
            if header.is_control() {
                reader.aborting.retain(|id| *id != producer);
            } else if !reader.aborting.contains(&producer) {
                reader.seen.extend(records::values(batch));
            }
            reader.next = header.last_offset().0 + 1;
        }
    }
    true
}

/// Every transfer is there whole and once, or not at all, as its producer was told.
fn check(ledger: &Ledger, accounts: &[Vec<String>]) -> Result<(), String> {
    let mut found: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (account, values) in accounts.iter().enumerate() {
        for value in values {
            let (id, amount) = value.split_once(' ').ok_or("not a transfer")?;
            found.entry(id).or_default().push((account, amount));
        }
    }
    for (id, transfer) in ledger {
        let mut sides = found.remove(&**id).unwrap_or_default();
        sides.sort();
        let mut whole = vec![(transfer.from, "-1"), (transfer.to, "+1")];
        whole.sort();
        let is_right = match transfer.outcome {
            Outcome::Committed => sides == whole,
            Outcome::Aborted => sides.is_empty(),
            Outcome::InDoubt => sides.is_empty() || sides == whole,
        };
        if !is_right {
            return Err(format!("{id} {transfer:?}: {sides:?}"));
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(format!("nobody made {found:?}")),
    }
}

/// The offset of each producer's group is that of its last transfer that is there.
async fn check_offsets(client: &mut Client, ledger: &Ledger, accounts: &[Vec<String>]) {
    for at in 0..PRODUCERS {
        let group = format!("group-{at}");
        let ours = |id: &str| -> Option<i64> { id.strip_prefix(&format!("{at}:"))?.parse().ok() };
        let is_there = |id: &str| {
            let credit = format!("{id} +1");
            accounts.iter().flatten().any(|value| *value == credit)
        };
        let last = ledger
            .keys()
            .filter(|id| is_there(id))
            .filter_map(|id| ours(id))
            .max();
        assert_eq!(
            committed_offset(client, &group).await,
            last.unwrap_or(-1),
            "{group}"
        );
    }
}

async fn committed_offset(client: &mut Client, group: &str) -> i64 {
    let key = StrBytes::from_string(group.to_owned());
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone()]);
    client.call(4, &find).await;
    let topic = OffsetFetchRequestTopics::default()
        .with_name(StrBytes::from_static_str(ACCOUNTS[0]).into())
        .with_partition_indexes(vec![0]);
    let wanted = OffsetFetchRequestGroup::default()
        .with_group_id(key.into())
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default()
        .with_groups(vec![wanted])
        .with_require_stable(true);
    loop {
        let response = client.call(8, &request).await;
        let group = &response.groups[0];
        // COORDINATOR_LOAD_IN_PROGRESS passes.
        if group.error_code != 14 {
            assert_eq!(group.error_code, 0);
            assert_eq!(
                group.topics[0].partitions[0].error_code, 0,
                "nothing is left open"
            );
            return group.topics[0].partitions[0].committed_offset;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The checker would have seen a lost, a doubled, a torn and an aborted transfer, and one that nobody made.
fn faults_are_caught(ledger: &Ledger, accounts: &[Vec<String>]) {
    let full = accounts
        .iter()
        .position(|values| values.len() > 1)
        .expect("records");
    let spoil = |change: &dyn Fn(&mut Vec<String>)| {
        let mut spoilt = accounts.to_vec();
        change(&mut spoilt[full]);
        assert!(check(ledger, &spoilt).is_err());
    };
    spoil(&|values| drop(values.remove(0)));
    spoil(&|values| values.push(values[0].clone()));
    spoil(&|values| values.push("9:9 +1".to_owned()));
    let aborted = ledger.iter().find(|(_, t)| t.outcome == Outcome::Aborted);
    let (id, _) = aborted.expect("some are aborted");
    spoil(&|values| values.push(format!("{id} -1")));
    let (id, transfer) = ledger
        .iter()
        .find(|(_, t)| t.outcome == Outcome::Committed)
        .expect("some are committed");
    let mut lost = accounts.to_vec();
    let is_other = |value: &String| !value.starts_with(&format!("{id} "));
    lost[transfer.from].retain(is_other);
    lost[transfer.to].retain(is_other);
    assert!(check(ledger, &lost).is_err());
}
