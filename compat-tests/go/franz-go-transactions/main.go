// Franz-go's transactional client: transactions of version 2 where the broker announces them.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"ottla.compat/task"
)

func main() {
	task.Run([]task.Case{
		{Name: "commit-and-abort", Body: commitAndAbort},
		{Name: "send-offsets", Body: sendOffsets},
		{Name: "fencing", Body: fencing},
		{Name: "timeout", Body: timeout},
	})
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 60*time.Second)
}

func newTopic(name string) (string, error) {
	name = task.Prefix + "-txn-" + name
	client, err := kgo.NewClient(kgo.SeedBrokers(task.Bootstrap))
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, 1
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return "", err
	}
	return name, kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

func producer(id string, options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(task.Bootstrap), kgo.TransactionalID(task.Prefix + "-" + id),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
}

// values are all values of both partitions, sorted.
func values(topic string, isolation kgo.IsolationLevel) ([]string, error) {
	start := kgo.NewOffset().At(0)
	client, err := kgo.NewClient(kgo.SeedBrokers(task.Bootstrap), kgo.FetchIsolationLevel(isolation), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: start, 1: start}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	ends, err := endOffsets(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	var found []string
	position := map[int32]int64{}
	for position[0] < ends[0] || position[1] < ends[1] {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("after %d records: %w", len(found), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			position[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				found = append(found, string(r.Value))
			}
		})
	}
	slices.Sort(found)
	return found, nil
}

// endOffsets are where both partitions end for a reader of committed records.
func endOffsets(ctx context.Context, client *kgo.Client, name string) (map[int32]int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.IsolationLevel = 1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = name
	for index := range int32(2) {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = index, -1
		topic.Partitions = append(topic.Partitions, partition)
	}
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	for _, partition := range response.Topics[0].Partitions {
		if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
			return nil, err
		}
		ends[partition.Partition] = partition.Offset
	}
	return ends, nil
}

func expectValues(topic string, isolation kgo.IsolationLevel, wanted []string) error {
	found, err := values(topic, isolation)
	if err == nil && !slices.Equal(found, wanted) {
		err = fmt.Errorf("read %v, expected %v", found, wanted)
	}
	return err
}

func commitAndAbort() error {
	topic, err := newTopic("commit")
	if err != nil {
		return err
	}
	client, err := producer("commit")
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	var all, committed []string
	for number := range 20 {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		for partition := range int32(2) {
			value := fmt.Sprintf("%02d-%d", number, partition)
			record := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
			if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
				return err
			}
			all = append(all, value)
			if number%3 > 0 {
				committed = append(committed, value)
			}
		}
		if err := client.EndTransaction(ctx, number%3 > 0); err != nil {
			return err
		}
	}
	if err := expectValues(topic, kgo.ReadUncommitted(), all); err != nil {
		return err
	}
	return expectValues(topic, kgo.ReadCommitted(), committed)
}

// sendOffsets copies a topic with a GroupTransactSession, aborts every other turn, and begins again with a new
// session in the middle: each record arrives once.
func sendOffsets() error {
	source, err := newTopic("source")
	if err != nil {
		return err
	}
	target, err := newTopic("target")
	if err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	plain, err := kgo.NewClient(kgo.SeedBrokers(task.Bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer plain.Close()
	var wanted []string
	for number := range 30 {
		value := fmt.Sprintf("%02d", number)
		wanted = append(wanted, value)
		record := &kgo.Record{Topic: source, Partition: int32(number % 2), Value: []byte(value)}
		if err := plain.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	for copied := 0; copied < len(wanted); {
		count, err := copySome(ctx, source, target, min(12, len(wanted)-copied))
		if err != nil {
			return err
		}
		copied += count
	}
	return expectValues(target, kgo.ReadCommitted(), wanted)
}

// copySome copies at least so many records in transactions of a new session; the first of them it aborts.
func copySome(ctx context.Context, source, target string, least int) (int, error) {
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(task.Bootstrap),
		kgo.TransactionalID(task.Prefix+"-copy"), kgo.ConsumerGroup(task.Prefix+"-copy"), kgo.ConsumeTopics(source),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return 0, err
	}
	defer session.Close()
	copied := 0
	for turn := 0; copied < least; turn++ {
		fetches := session.PollRecords(ctx, 5)
		if err := fetches.Err(); err != nil {
			return copied, fmt.Errorf("after %d records: %w", copied, err)
		}
		if err := session.Begin(); err != nil {
			return copied, err
		}
		var out []*kgo.Record
		fetches.EachRecord(func(r *kgo.Record) {
			out = append(out, &kgo.Record{Topic: target, Partition: r.Partition, Value: r.Value})
		})
		if err := session.ProduceSync(ctx, out...).FirstErr(); err != nil {
			return copied, err
		}
		committed, err := session.End(ctx, kgo.TransactionEndTry(turn > 0))
		if err != nil {
			return copied, err
		}
		if committed {
			copied += len(out)
		}
	}
	return copied, nil
}

func fencing() error {
	topic, err := newTopic("fencing")
	if err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	zombie, err := producer("fencing")
	if err != nil {
		return err
	}
	defer zombie.Close()
	if err := begin(ctx, zombie, topic, "zombie"); err != nil {
		return err
	}
	next, err := producer("fencing")
	if err != nil {
		return err
	}
	defer next.Close()
	if err := begin(ctx, next, topic, "new"); err != nil {
		return err
	}
	err = zombie.EndTransaction(ctx, kgo.TryCommit)
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("a replaced producer's commit: %v", err)
	}
	if err := next.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	return expectValues(topic, kgo.ReadCommitted(), []string{"new"})
}

// begin opens a transaction with one record in it.
func begin(ctx context.Context, client *kgo.Client, topic, value string) error {
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}

func timeout() error {
	topic, err := newTopic("timeout")
	if err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	slow, err := producer("timeout", kgo.TransactionTimeout(2*time.Second))
	if err != nil {
		return err
	}
	defer slow.Close()
	if err := begin(ctx, slow, topic, "late"); err != nil {
		return err
	}
	// Apache Kafka looks for such transactions every ten seconds.
	for {
		ends, err := endOffsets(ctx, slow, topic)
		if err != nil {
			return err
		}
		if ends[0] == 2 {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err := slow.EndTransaction(ctx, kgo.TryCommit); err == nil {
		return errors.New("a transaction was committed that had been aborted")
	}
	return expectValues(topic, kgo.ReadCommitted(), nil)
}
