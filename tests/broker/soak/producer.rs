//! An idempotent producer that outlives brokers: what was not acknowledged is sent again, with the same sequences.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use ottla_protocol::api as wire;
use ottla_protocol::compression::Codec;
use ottla_protocol::ids::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::messages::produce_response::PartitionProduceResponse;
use ottla_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use ottla_protocol::record::BatchBuilder;
use ottla_tests::client::produce_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use super::{KEYS, Kind, Random};

/// Requests on their way at once.
const IN_FLIGHT: usize = 5;
/// The answer to a batch so old that its offset is not known any more.
const DUPLICATE_SEQUENCE: i16 = 46;

/// A batch that is not acknowledged: it is sent again after a kill.
pub(super) struct Sent {
    first: i64,
    count: i64,
    records: Bytes,
}

/// An idempotent producer that outlives brokers. Its n-th record has sequence n and tells so.
pub(super) struct Producer {
    pub(super) kind: Kind,
    pub(super) number: usize,
    pub(super) id: Option<(i64, i16)>,
    pub(super) next: i64,
    pub(super) unacknowledged: VecDeque<Sent>,
    /// Offset of the n-th record; none for one that retention had removed before it was acknowledged.
    pub(super) offsets: Vec<Option<i64>>,
    /// Where the log ended before the round.
    pub(super) end: i64,
    /// Batches that were sent again although the broker had them.
    pub(super) repeated: usize,
    /// Timestamp of the first record. Not long ago: the state of a producer whose records are old expires.
    pub(super) began: i64,
    pub(super) random: Random,
}

impl Producer {
    pub(super) fn batch(&mut self, id: i64, epoch: i16) -> Sent {
        let codecs = [
            Codec::None,
            Codec::Gzip { level: -1 },
            Codec::Snappy,
            Codec::Lz4 { level: 9 },
            Codec::Zstd { level: 3 },
        ];
        let first = self.next;
        let count = 1 + self.random.below(5) as i64;
        let codec = codecs[self.random.below(5) as usize];
        let mut builder = BatchBuilder::new().codec(codec).producer(
            ProducerId(id),
            ProducerEpoch(epoch),
            Sequence(first as i32),
        );
        for n in first..first + count {
            // Digits without a pattern, so that no codec makes much less of them.
            let padding: String = (0..self.random.below(20))
                .map(|_| self.random.below(u64::MAX).to_string())
                .collect();
            let key = format!("{}-{}", self.number, n % KEYS);
            let value = format!("{} {n} {padding}", self.number);
            builder.append(
                Timestamp(self.began + n),
                Some(key.as_bytes()),
                Some(value.as_bytes()),
            );
        }
        self.next += count;
        let records = builder.build().unwrap().to_bytes();
        Sent {
            first,
            count,
            records,
        }
    }

    /// Produce until the broker is gone, or until told to stop with requests on their way.
    pub(super) async fn run(
        &mut self,
        addr: SocketAddr,
        acknowledged: &AtomicUsize,
        progress: &Notify,
        mut stop: watch::Receiver<bool>,
    ) {
        let Ok(mut stream) = TcpStream::connect(addr).await else {
            return;
        };
        let Some((id, epoch)) = self.producer_id(&mut stream).await else {
            return;
        };
        let mut sent = 0;
        loop {
            while sent < IN_FLIGHT {
                if sent == self.unacknowledged.len() {
                    let batch = self.batch(id, epoch);
                    self.unacknowledged.push_back(batch);
                }
                let records = self.unacknowledged[sent].records.clone();
                let request = produce_request(self.kind.topic(), 0, records, -1);
                let frame = wire::encode_request(9, 1, "soak", &request).unwrap();
                if stream.write_all(&frame).await.is_err() {
                    return;
                }
                sent += 1;
            }
            let answer = tokio::select! {
                biased;
                _ = stop.changed() => return,
                answer = receive(&mut stream) => answer,
            };
            let Some(mut answer) = answer else {
                return;
            };
            let (_, answer) = wire::decode_response::<ProduceRequest>(&mut answer, 9).unwrap();
            let answer = &answer.responses[0].partition_responses[0];
            self.acknowledge(answer);
            sent -= 1;
            acknowledged.fetch_add(1, Ordering::Relaxed);
            progress.notify_one();
        }
    }

    fn acknowledge(&mut self, answer: &PartitionProduceResponse) {
        let (code, base_offset) = (answer.error_code, answer.base_offset);
        let batch = self.unacknowledged.pop_front().expect("a batch was sent");
        assert!(
            code == 0 || code == DUPLICATE_SEQUENCE,
            "producer {} of {:?}, record {}: error {code} {:?}",
            self.number,
            self.kind,
            batch.first,
            answer.error_message
        );
        assert_eq!(batch.first, self.offsets.len() as i64);
        let known = code == 0 && base_offset >= 0;
        self.repeated += usize::from(base_offset < self.end);
        let offset = |n| known.then_some(base_offset + n);
        self.offsets.extend((0..batch.count).map(offset));
    }

    async fn producer_id(&mut self, stream: &mut TcpStream) -> Option<(i64, i16)> {
        if self.id.is_none() {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
            let frame = wire::encode_request(4, 1, "soak", &request).unwrap();
            stream.write_all(&frame).await.ok()?;
            let mut answer = receive(stream).await?;
            let (_, answer) =
                wire::decode_response::<InitProducerIdRequest>(&mut answer, 4).unwrap();
            self.id = Some((answer.producer_id.0, answer.producer_epoch));
        }
        self.id
    }
}

pub(super) async fn receive(stream: &mut TcpStream) -> Option<Bytes> {
    let length = stream.read_u32().await.ok()? as usize;
    let mut frame = BytesMut::zeroed(length);
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame.freeze())
}
