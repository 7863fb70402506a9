//! Transfers between accounts by producers of both versions of transactions, in processes of their own, which abort at
//! random. Round by round the broker is killed with SIGKILL, and a producer is killed in the middle and begins again, or
//! is stopped, replaced and goes on as a zombie. In the end no transfer is lost, torn or doubled, none was seen before
//! it was decided, and no zombie has written anything.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
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
use ottla_tests::transactions::TransactionalProducer;
use ottla_tests::transfers::producer::{group, name, version};
use ottla_tests::transfers::{ACCOUNTS, Event, Ledger, Outcome, Random, check};
use tempfile::TempDir;
use tokio::sync::watch;

/// Rounds of killing; `OTTLA_ROUNDS` says otherwise.
const ROUNDS: u64 = 6;
/// Transactional ids that work at once.
const PRODUCERS: usize = 4;
/// Fewest transfers that make a run worth something.
const ENOUGH: usize = 200;
/// How far apart the numbers are at which the producers of one id begin.
const NUMBERS: u64 = 1_000_000;
/// For whatever happens soon.
const SOON: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    violations: Mutex<Vec<String>>,
}

/// What has been heard of a producer.
#[derive(Clone, Debug, Default)]
struct Heard {
    sessions: u64,
    /// Number of the latest transfer, and whether it has not ended.
    latest: Option<(u64, bool)>,
    fenced: bool,
}

/// A producer's process; killed when dropped.
struct Producer {
    child: Child,
    heard: watch::Receiver<Heard>,
}

impl Producer {
    fn start(at: usize, first: u64, address: &Path, shared: &Arc<Shared>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_transfer-producer"))
            .args([at.to_string(), first.to_string()])
            .arg(address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the producer's program starts");
        let output = child.stdout.take().expect("a pipe");
        let (tell, heard) = watch::channel(Heard::default());
        let shared = Arc::clone(shared);
        std::thread::spawn(move || hear(output, tell, &shared));
        Self { child, heard }
    }

    /// Wait until this is so.
    async fn until(&mut self, what: &str, is_so: impl FnMut(&Heard) -> bool) -> Heard {
        let found = tokio::time::timeout(SOON, self.heard.wait_for(is_so)).await;
        let found = found.unwrap_or_else(|_| panic!("no producer that {what}"));
        found.expect("it lives").clone()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.expect("kill").success());
    }

    /// SIGKILL, and what it has said to the last.
    async fn kill(mut self) {
        self.child.kill().expect("the producer's process");
        self.child.wait().expect("the producer's end");
        while self.heard.changed().await.is_ok() {}
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keep the ledger by what a producer says.
fn hear(output: ChildStdout, tell: watch::Sender<Heard>, shared: &Shared) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        // SIGKILL may have cut the last line.
        let Some(event) = Event::parse(&line) else {
            continue;
        };
        if let Event::Violation(text) = &event {
            shared
                .violations
                .lock()
                .expect("nobody panicked")
                .push(text.clone());
        }
        if let Event::Transfer(id, transfer) = &event {
            let mut ledger = shared.ledger.lock().expect("nobody panicked");
            ledger.insert(id.clone(), transfer.clone());
        }
        tell.send_modify(|heard| match &event {
            Event::Ready => heard.sessions += 1,
            Event::Fenced => heard.fenced = true,
            Event::Transfer(id, transfer) => {
                let (_, number) = id.split_once(':').expect("<producer>:<number>");
                let is_open = transfer.outcome == Outcome::InDoubt;
                heard.latest = Some((number.parse().expect("a number"), is_open));
            }
            Event::Violation(_) => {}
        });
    }
}

/// The broker, the producers, and what is known of them.
struct Lab {
    dir: TempDir,
    broker: BrokerProcess,
    producers: Vec<Producer>,
    begun: u64,
    shared: Arc<Shared>,
    address: watch::Sender<Option<SocketAddr>>,
    zombies: u64,
}

impl Lab {
    async fn start() -> Self {
        let dir = TempDir::new().expect("a directory");
        let broker = BrokerProcess::start(program(), &dir.path().join("data"));
        let mut client = Client::connect(broker.addr()).await;
        for account in ACCOUNTS {
            client.create_topic(account, 1, &[]).await;
        }
        let mut lab = Self {
            dir,
            producers: Vec::new(),
            begun: 0,
            shared: Arc::default(),
            address: watch::Sender::new(Some(broker.addr())),
            zombies: 0,
            broker,
        };
        lab.tell_address();
        for at in 0..PRODUCERS {
            let producer = lab.producer(at);
            lab.producers.push(producer);
        }
        lab
    }

    fn producer(&mut self, at: usize) -> Producer {
        self.begun += 1;
        let address = self.dir.path().join("address");
        Producer::start(at, self.begun * NUMBERS, &address, &self.shared)
    }

    /// Put the broker's address where producers and reader find it.
    fn tell_address(&self) {
        let new = self.dir.path().join("address.new");
        std::fs::write(&new, self.broker.addr().to_string()).expect("a file");
        std::fs::rename(&new, self.dir.path().join("address")).expect("a file");
        self.address.send_replace(Some(self.broker.addr()));
    }

    fn kill_broker(&mut self) {
        self.broker.kill();
        self.broker = BrokerProcess::start(program(), &self.dir.path().join("data"));
        self.tell_address();
    }

    /// SIGKILL in the middle of a transfer; another process takes the id.
    async fn kill_producer(&mut self, at: usize) {
        let producer = &mut self.producers[at];
        producer
            .until("is in a transfer", |heard| {
                heard.fenced || heard.latest.is_some_and(|(_, is_open)| is_open)
            })
            .await;
        let next = self.producer(at);
        std::mem::replace(&mut self.producers[at], next)
            .kill()
            .await;
    }

    /// SIGSTOP in the middle of a transfer; another process takes the id, and the zombie goes on.
    async fn make_zombie(&mut self, at: usize) {
        // It has a session with the broker as it is now, and a transaction is open.
        let known = self.producers[at].heard.borrow().latest;
        let known = known.map_or(0, |(number, _)| number);
        self.producers[at]
            .until("is in the next transfer", |heard| {
                heard.fenced
                    || heard
                        .latest
                        .is_some_and(|(number, is_open)| is_open && number > known)
            })
            .await;
        self.producers[at].signal("-STOP");
        let mut next = self.producer(at);
        next.until("has the id", |heard| heard.sessions > 0).await;
        let zombie = std::mem::replace(&mut self.producers[at], next);
        let then = zombie.heard.borrow().clone();
        zombie.signal("-CONT");
        let mut zombie = zombie;
        // Without an open session it may take the id back, which is its right.
        let now = zombie
            .until("ends or begins anew", |heard| {
                heard.fenced || heard.sessions > then.sessions
            })
            .await;
        let went_on = now.latest.is_some_and(|(number, is_open)| {
            !is_open && then.latest.is_some_and(|(before, _)| number > before)
        });
        if now.fenced && then.sessions > 0 {
            self.zombies += 1;
            if went_on {
                let text = format!("a zombie of {} went on: {then:?}, {now:?}", name(at));
                self.shared
                    .violations
                    .lock()
                    .expect("nobody panicked")
                    .push(text);
            }
        }
        zombie.kill().await;
    }

    /// Producers that lost their id to one killed later begin again.
    async fn replace_fenced(&mut self) {
        for at in 0..PRODUCERS {
            if self.producers[at].heard.borrow().fenced {
                let next = self.producer(at);
                std::mem::replace(&mut self.producers[at], next)
                    .kill()
                    .await;
            }
        }
    }

    fn transfers(&self) -> usize {
        self.shared.ledger.lock().expect("nobody panicked").len()
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ottla-under-test"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transfer_is_lost_torn_doubled_or_seen_too_early() {
    let rounds = std::env::var("OTTLA_ROUNDS");
    let rounds = rounds.ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let mut lab = Lab::start().await;
    let reader = tokio::spawn(read(lab.address.subscribe()));
    let mut random = Random(7);
    let mut round = 0;
    // Slow machines get the time they need.
    while round < rounds || lab.transfers() < ENOUGH {
        tokio::time::sleep(Duration::from_millis(100 + random.below(500))).await;
        lab.kill_broker();
        tokio::time::sleep(Duration::from_millis(random.below(400))).await;
        lab.replace_fenced().await;
        let at = usize::try_from(random.below(PRODUCERS as u64)).unwrap();
        match round % 2 {
            0 => lab.kill_producer(at).await,
            _ => lab.make_zombie(at).await,
        }
        round += 1;
    }
    for producer in std::mem::take(&mut lab.producers) {
        producer.kill().await;
    }
    lab.address.send_replace(None);
    let seen = reader.await.unwrap();
    lab.kill_broker();
    verify(&lab, round, &seen).await;
}

/// Compare what is there with the ledger.
async fn verify(lab: &Lab, rounds: u64, seen: &[Vec<String>]) {
    let mut client = Client::connect(lab.broker.addr()).await;
    // What is still open is aborted by the next to come.
    for at in 0..PRODUCERS {
        let connection = Client::connect(lab.broker.addr()).await;
        TransactionalProducer::begin(connection, &name(at), version(at), 60_000).await;
    }
    let mut accounts = vec![Reader::committed(); ACCOUNTS.len()];
    read_to_the_end(&mut client, &mut accounts).await;
    let accounts: Vec<_> = accounts.into_iter().map(|reader| reader.seen).collect();
    let ledger = lab.shared.ledger.lock().expect("nobody panicked").clone();
    let count = |outcome| ledger.values().filter(|t| t.outcome == outcome).count();
    println!(
        "{rounds} rounds, {} zombies, {} committed, {} aborted, {} in doubt",
        lab.zombies,
        count(Outcome::Committed),
        count(Outcome::Aborted),
        count(Outcome::InDoubt)
    );
    assert_eq!(
        *lab.shared.violations.lock().expect("nobody panicked"),
        [""; 0]
    );
    check(&ledger, &accounts).expect("nothing lost, torn, doubled or invented");
    for (account, seen) in accounts.iter().zip(seen) {
        assert!(
            account.starts_with(seen),
            "what was read is there, in its order"
        );
    }
    check_offsets(&mut client, &ledger, &accounts).await;
    assert!(count(Outcome::Committed) > ENOUGH / 4);
    faults_are_caught(&ledger, &accounts);
    dirty_reads_are_caught(&mut client, &ledger).await;
}

/// Read committed data all the while; what was seen of each account.
async fn read(mut addresses: watch::Receiver<Option<SocketAddr>>) -> Vec<Vec<String>> {
    let mut readers = vec![Reader::committed(); ACCOUNTS.len()];
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

#[derive(Clone)]
struct Reader {
    isolation: i8,
    next: i64,
    seen: Vec<String>,
    aborting: Vec<i64>,
}

impl Reader {
    fn committed() -> Self {
        Self {
            isolation: 1,
            next: 0,
            seen: Vec::new(),
            aborting: Vec::new(),
        }
    }

    /// It shows what it should not.
    fn dirty() -> Self {
        Self {
            isolation: 0,
            ..Self::committed()
        }
    }
}

/// Read until there is nothing more.
async fn read_to_the_end(client: &mut Client, readers: &mut [Reader]) {
    loop {
        let before: Vec<_> = readers.iter().map(|reader| reader.next).collect();
        assert!(read_all(client, readers).await, "the broker lives");
        if readers.iter().map(|reader| reader.next).eq(before) {
            return;
        }
    }
}

async fn read_all(client: &mut Client, readers: &mut [Reader]) -> bool {
    for (account, reader) in ACCOUNTS.iter().zip(readers) {
        let request = fetch_request(account, &[(0, reader.next)], 1 << 20)
            .with_isolation_level(reader.isolation)
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

/// The offset of each producer's group is that of its last transfer that is there.
async fn check_offsets(client: &mut Client, ledger: &Ledger, accounts: &[Vec<String>]) {
    for at in 0..PRODUCERS {
        let group = group(at);
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

/// Without isolation the records of aborted transactions are seen, and the checker says so.
async fn dirty_reads_are_caught(client: &mut Client, ledger: &Ledger) {
    let mut accounts = vec![Reader::dirty(); ACCOUNTS.len()];
    read_to_the_end(client, &mut accounts).await;
    let accounts: Vec<_> = accounts.into_iter().map(|reader| reader.seen).collect();
    assert!(check(ledger, &accounts).is_err());
}
