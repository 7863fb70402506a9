//! What is in the logs, and whether it is what it ought to be.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;

use ottla_protocol::record::RecordReader;
use ottla_tests::client::Client;
use ottla_tests::records;

use super::producer::Producer;
use super::{EARLIEST, KEYS, Kind, LIMIT};

const OUT_OF_RANGE: i16 = 1;

/// What was read of a partition so far.
#[derive(Default)]
pub(super) struct Reading {
    /// Where to go on.
    pub(super) next: i64,
    /// The log never starts below it again.
    pub(super) start: i64,
    /// The next record expected of each producer.
    pub(super) producers: BTreeMap<usize, i64>,
}

/// A record as it was found: offset, producer, its number.
pub(super) type Found = (i64, usize, i64);

impl Reading {
    /// Read on to the end, and check that each producer goes on where it stopped.
    pub(super) async fn go_on(&mut self, client: &mut Client, kind: Kind) -> Vec<Found> {
        let start = client.list_offset(kind.topic(), 0, EARLIEST).await.offset;
        assert!(
            start >= self.start,
            "{kind:?} starts at {start}, it was {}",
            self.start
        );
        assert!(kind != Kind::Kept && kind != Kind::Compacted || start == 0);
        self.start = start;
        let mut all = Vec::new();
        // Of what is left of a log that has lost records, as long as no more go.
        let mut left = (start > 0 && self.next <= start).then_some(0);
        self.next = self.next.max(start);
        loop {
            let data = client.fetch(kind.topic(), 0, self.next, 1 << 20).await;
            if data.error_code == OUT_OF_RANGE && kind == Kind::Limited {
                self.next = client.list_offset(kind.topic(), 0, EARLIEST).await.offset;
                left = None;
                continue;
            }
            assert_eq!(data.error_code, 0, "{kind:?} from {}", self.next);
            let records = data.records.unwrap_or_default();
            let batches = records::batches(&records);
            let Some((last, _)) = batches.last() else {
                break;
            };
            left = left.map(|bytes| bytes + records.len() as i64);
            let next = last.next_offset().0;
            let found = parse(&records);
            all.extend(
                found
                    .into_iter()
                    .filter(|(offset, ..)| *offset >= self.next),
            );
            self.next = next;
        }
        if let (Kind::Limited, Some(bytes)) = (kind, left) {
            assert!(bytes >= LIMIT, "only {bytes} bytes are left");
        }
        self.check_order(kind, &all);
        all
    }

    fn check_order(&mut self, kind: Kind, found: &[Found]) {
        let mut last = -1;
        for (offset, producer, n) in found {
            assert!(*offset > last, "{kind:?}: offset {offset} behind {last}");
            last = *offset;
            let expected = self.producers.entry(*producer).or_insert(0);
            let gap_allowed = kind != Kind::Kept;
            assert!(
                *n == *expected || (gap_allowed && *n > *expected),
                "{kind:?}: at {offset} record {n} of producer {producer}, not {expected}"
            );
            *expected = n + 1;
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for (header, batch) in records::batches(bytes) {
        let mut records = RecordReader::new(&header, &batch[61..], 1 << 20).unwrap();
        while let Some(record) = records.next().unwrap() {
            let value = std::str::from_utf8(record.value.unwrap()).unwrap();
            let mut words = value.split(' ');
            let producer = words.next().unwrap().parse().unwrap();
            let n = words.next().unwrap().parse().unwrap();
            found.push((
                header.base_offset().0 + i64::from(record.offset_delta),
                producer,
                n,
            ));
        }
    }
    found
}

/// Every acknowledged record that is still due is at its offset; of a compacted topic, the last one of each key.
pub(super) fn check_acknowledged(kind: Kind, start: i64, found: &[Found], producers: &[Producer]) {
    let at: BTreeMap<i64, (usize, i64)> = found.iter().map(|(o, p, n)| (*o, (*p, *n))).collect();
    for producer in producers.iter().filter(|producer| producer.kind == kind) {
        let mut newest = BTreeMap::new();
        for (n, offset) in producer.offsets.iter().enumerate() {
            let n = n as i64;
            let Some(offset) = offset.filter(|offset| *offset >= start) else {
                continue;
            };
            match at.get(&offset) {
                Some(there) => assert_eq!(*there, (producer.number, n), "{kind:?} at {offset}"),
                None => assert_eq!(kind, Kind::Compacted, "record {n} at {offset} is lost"),
            }
            newest.insert(n % KEYS, n);
        }
        for (key, n) in newest {
            let of_key = found
                .iter()
                .filter(|(_, p, m)| *p == producer.number && m % KEYS == key);
            let last = of_key.map(|(_, _, m)| *m).max();
            assert!(
                last >= Some(n),
                "{kind:?}: of key {key} {n} is lost, {last:?} is there"
            );
        }
    }
}
