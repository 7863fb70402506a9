//! Transfers between accounts: each is a transaction that debits one topic, credits another and commits an offset.
//!
//! Producers are processes (`bin/transfer-producer.rs`, [`producer`]) that say on standard output what they do, an
//! [`Event`] a line; who has started them keeps the [`Ledger`] and compares it with what is read in the end.

pub mod producer;

use std::collections::BTreeMap;

/// Topics of one partition each.
pub const ACCOUNTS: [&str; 3] = ["account-a", "account-b", "account-c"];

/// What has become of a transfer, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// EndTxn has said so.
    Committed,
    /// EndTxn has said so, or another producer has taken the transactional id before the end.
    Aborted,
    /// It has begun, and nobody knows how it ended.
    InDoubt,
}

/// A transfer as its producer knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Account of the debit.
    pub from: usize,
    /// Account of the credit.
    pub to: usize,
    /// How it ended.
    pub outcome: Outcome,
}

/// All transfers by name, `<producer>:<number>`.
pub type Ledger = BTreeMap<String, Transfer>;

/// A line of a producer's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has the transactional id: `ready`.
    Ready,
    /// A transfer begins or ends: `transfer <id> <from> <to> <begun|committed|aborted>`.
    Transfer(String, Transfer),
    /// Somebody else has the transactional id; it ends: `fenced`.
    Fenced,
    /// Something has happened that must not: `violation <text>`.
    Violation(String),
}

impl Event {
    /// The line for it.
    pub fn line(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Transfer(id, Transfer { from, to, outcome }) => {
                let word = match outcome {
                    Outcome::InDoubt => "begun",
                    Outcome::Committed => "committed",
                    Outcome::Aborted => "aborted",
                };
                format!("transfer {id} {from} {to} {word}")
            }
            Self::Fenced => "fenced".to_owned(),
            Self::Violation(text) => format!("violation {text}"),
        }
    }

    /// What a line says; `None` when it is none of these.
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "ready" => Some(Self::Ready),
            "fenced" => Some(Self::Fenced),
            "violation" => Some(Self::Violation(rest.to_owned())),
            "transfer" => {
                let mut words = rest.split(' ');
                let id = words.next()?.to_owned();
                let from = words.next()?.parse().ok()?;
                let to = words.next()?.parse().ok()?;
                let outcome = match words.next()? {
                    "begun" => Outcome::InDoubt,
                    "committed" => Outcome::Committed,
                    "aborted" => Outcome::Aborted,
                    _ => return None,
                };
                Some(Self::Transfer(id, Transfer { from, to, outcome }))
            }
            _ => None,
        }
    }
}

/// A small generator of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Every transfer is there whole and once, or not at all, as its producer was told; `accounts` holds the values of each.
///
/// # Errors
/// The first transfer that is lost, torn, doubled or invented.
pub fn check(ledger: &Ledger, accounts: &[Vec<String>]) -> Result<(), String> {
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
