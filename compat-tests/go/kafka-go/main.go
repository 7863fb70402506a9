// Segmentio's kafka-go without a group: Writer, Reader of a partition, and Client for the rest. It has no idempotent
// producer, and no transactions but for offsets alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"ottla.compat/task"
)

var records = task.Fixture()

var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

var client = &kafka.Client{Addr: kafka.TCP(task.Bootstrap), Timeout: 30 * time.Second}

func main() {
	for i := range records {
		records[i] = possible(records[i])
	}
	task.Run(append(task.RoundTrips(roundTrip),
		task.Case{Name: "offsets-by-timestamp", Body: offsetsByTimestamp},
		task.Case{Name: "seek", Body: seek},
		task.Case{Name: "large-record", Body: largeRecord},
		task.Case{Name: "too-large-record", Body: tooLargeRecord},
		task.Case{Name: "create-topic", Body: createTopic},
		task.Case{Name: "topic-configs", Body: topicConfigs},
		task.Case{Name: "send-offsets", Body: sendOffsets},
		task.Case{Name: "unknown-topic", Body: unknownTopic},
	))
}

// possible makes of a record what kafka-go gives back: it reads an empty header value as a null one.
func possible(record task.Record) task.Record {
	for i, header := range record.Headers {
		if len(header.Value) == 0 {
			record.Headers[i].Value = nil
		}
	}
	return record
}

// blurred makes of records what its Reader gives back: no difference between null and empty.
func blurred(list []task.Record) []task.Record {
	out := slices.Clone(list)
	for i := range out {
		out[i].Key, out[i].Value = append([]byte{}, out[i].Key...), append([]byte{}, out[i].Value...)
	}
	return out
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

// produce writes in order to partition 0; the offsets acknowledged must be 0, 1, 2 ...
func produce(bootstrap, topic string, list []task.Record, codec kafka.Compression, limit int64) error {
	next := int64(0)
	var wrong error
	writer := &kafka.Writer{
		Addr: kafka.TCP(bootstrap), Topic: topic, RequiredAcks: kafka.RequireAll, Compression: codec,
		Balancer:               kafka.BalancerFunc(func(kafka.Message, ...int) int { return 0 }),
		AllowAutoTopicCreation: true, BatchTimeout: 5 * time.Millisecond, BatchBytes: limit, MaxAttempts: 5,
		Completion: func(messages []kafka.Message, err error) {
			for _, message := range messages {
				if err == nil && message.Offset != next {
					wrong = fmt.Errorf("record %d was acknowledged at offset %d", next, message.Offset)
				}
				next++
			}
		},
	}
	var out []kafka.Message
	for _, one := range list {
		message := kafka.Message{Key: one.Key, Value: one.Value, Time: time.UnixMilli(one.Timestamp)}
		for _, header := range one.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: header.Name, Value: header.Value})
		}
		out = append(out, message)
	}
	ctx, cancel := within()
	defer cancel()
	err := writer.WriteMessages(ctx, out...)
	// Its users must try again themselves while a topic is created for them.
	for bootstrap == task.Bootstrap && errors.Is(err, kafka.UnknownTopicOrPartition) && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		err = writer.WriteMessages(ctx, out...)
	}
	if closed := writer.Close(); err == nil {
		err = closed
	}
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		err = each[0]
	}
	if err == nil {
		err = wrong
	}
	return err
}

// consume reads count records from an offset.
func consume(topic string, from int64, count int, isolation kafka.IsolationLevel) ([]task.Record, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{task.Bootstrap}, Topic: topic, MaxWait: 500 * time.Millisecond, MaxBytes: 8 << 20, IsolationLevel: isolation,
	})
	defer reader.Close()
	if err := reader.SetOffset(from); err != nil {
		return nil, err
	}
	ctx, cancel := within()
	defer cancel()
	var found []task.Record
	for len(found) < count {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("after %d records: %w", len(found), err)
		}
		one := task.Record{Key: m.Key, Value: m.Value, Timestamp: m.Time.UnixMilli(), Offset: m.Offset}
		for _, header := range m.Headers {
			one.Headers = append(one.Headers, task.Header{Name: header.Key, Value: header.Value})
		}
		found = append(found, possible(one))
	}
	return found, nil
}

// fetched reads the records of one Fetch of the Client, which has a decoder of its own.
func fetched(topic string, from int64) ([]task.Record, error) {
	ctx, cancel := within()
	defer cancel()
	response, err := client.Fetch(ctx, &kafka.FetchRequest{
		Topic: topic, Partition: 0, Offset: from, MinBytes: 1, MaxBytes: 8 << 20, MaxWait: time.Second,
	})
	if err == nil {
		err = response.Error
	}
	if err != nil {
		return nil, err
	}
	var found []task.Record
	for {
		r, err := response.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		one := task.Record{Timestamp: r.Time.UnixMilli(), Offset: r.Offset}
		if one.Key, err = kafka.ReadAll(r.Key); err != nil {
			return nil, err
		}
		if one.Value, err = kafka.ReadAll(r.Value); err != nil {
			return nil, err
		}
		for _, header := range r.Headers {
			one.Headers = append(one.Headers, task.Header{Name: header.Key, Value: header.Value})
		}
		if one.Offset >= from {
			found = append(found, possible(one))
		}
	}
}

func roundTrip(codec string) error {
	topic := task.Prefix + "-" + codec
	if err := produce(task.Bootstrap, topic, records, codecs[codec], 1_000_000); err != nil {
		return err
	}
	for _, isolation := range []kafka.IsolationLevel{kafka.ReadCommitted, kafka.ReadUncommitted} {
		found, err := consume(topic, 0, len(records), isolation)
		if err != nil {
			return err
		}
		if err := task.Compare(blurred(found), blurred(records), 0); err != nil {
			return err
		}
	}
	found, err := fetched(topic, 0)
	if err != nil {
		return err
	}
	return task.Compare(found, records, 0)
}

func offsetsByTimestamp() error {
	topic := task.Prefix + "-none"
	ask := func(request kafka.OffsetRequest) (kafka.PartitionOffsets, error) {
		ctx, cancel := within()
		defer cancel()
		response, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {request}}})
		if err != nil {
			return kafka.PartitionOffsets{}, err
		}
		return response.Topics[topic][0], response.Topics[topic][0].Error
	}
	for request, want := range map[kafka.OffsetRequest]int64{kafka.FirstOffsetOf(0): 0, kafka.LastOffsetOf(0): int64(len(records))} {
		found, err := ask(request)
		if got := max(found.FirstOffset, found.LastOffset); err != nil || got != want {
			return fmt.Errorf("end %d: %d (%v), expected %d", request.Timestamp, got, err, want)
		}
	}
	return task.CheckOffsetsByTimestamp(records, func(at int64) (int64, error) {
		found, err := ask(kafka.OffsetRequest{Partition: 0, Timestamp: at})
		if err != nil {
			return 0, err
		}
		for offset := range found.Offsets {
			return offset, nil
		}
		return -1, nil
	})
}

func seek() error {
	for _, start := range []int{1, 150, 299} {
		found, err := consume(task.Prefix+"-lz4", int64(start), len(records)-start, kafka.ReadCommitted)
		if err != nil {
			return err
		}
		if err := task.Compare(blurred(found), blurred(records[start:]), int64(start)); err != nil {
			return err
		}
	}
	_, err := fetched(task.Prefix+"-lz4", int64(len(records)+1))
	return task.ExpectError(err, kafka.OffsetOutOfRange)
}

func largeRecord() error {
	topic, one := task.Prefix+"-large", []task.Record{{Value: task.Incompressible(900_000), Timestamp: records[0].Timestamp}}
	if err := produce(task.Bootstrap, topic, one, 0, 1<<20); err != nil {
		return err
	}
	found, err := consume(topic, 0, 1, kafka.ReadCommitted)
	if err != nil {
		return err
	}
	return task.Compare(blurred(found), blurred(one), 0)
}

func tooLargeRecord() error {
	one := []task.Record{{Value: task.Incompressible(1_500_000), Timestamp: records[0].Timestamp}}
	return task.ExpectError(produce(task.Bootstrap, task.Prefix+"-too-large", one, 0, 4<<20), kafka.MessageSizeTooLarge)
}

// create creates a topic and returns the error of its entry.
func create(topic, name, value string) error {
	ctx, cancel := within()
	defer cancel()
	response, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: name, ConfigValue: value}},
	}}})
	if err != nil {
		return err
	}
	return response.Errors[topic]
}

func remove(topic string) error {
	ctx, cancel := within()
	defer cancel()
	response, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	return response.Errors[topic]
}

func createTopic() error {
	topic := task.Prefix + "-created"
	if err := create(topic, "max.message.bytes", "2000"); err != nil {
		return err
	}
	if err := task.ExpectError(create(topic, "max.message.bytes", "2000"), kafka.TopicAlreadyExists); err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	if count := len(metadata.Topics[0].Partitions); count != 3 {
		return fmt.Errorf("%d partitions, 3 were asked for", count)
	}
	one := []task.Record{{Value: task.Incompressible(3000), Timestamp: records[0].Timestamp}}
	if err := task.ExpectError(produce(task.Bootstrap, topic, one, 0, 1<<20), kafka.MessageSizeTooLarge); err != nil {
		return err
	}
	if err := remove(topic); err != nil {
		return err
	}
	return task.ExpectError(remove(topic), kafka.UnknownTopicOrPartition)
}

func topicConfigs() error {
	topic, key := task.Prefix+"-configured", "retention.ms"
	if err := create(topic, key, "3600000"); err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	current := func() (string, error) {
		response, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key}}}})
		if err != nil {
			return "", err
		}
		found := response.Resources[0]
		if found.Error != nil || len(found.ConfigEntries) != 1 {
			return "", fmt.Errorf("%d entries (%v), one was asked for", len(found.ConfigEntries), found.Error)
		}
		return found.ConfigEntries[0].ConfigValue, nil
	}
	alter := func(value string) error {
		response, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: kafka.ConfigOperationSet}},
			}}})
		if err != nil {
			return err
		}
		return response.Resources[0].Error
	}
	if err := task.CheckConfigs(current, alter); err != nil {
		return err
	}
	if err := alter("many"); err == nil {
		return errors.New("retention.ms=many was accepted")
	}
	return remove(topic)
}

// patiently asks again while a coordinator is not there yet, or not done with the transaction before, which the Client
// leaves to its user. What it asks gives the error of the request and that of the answer.
func patiently(ask func(context.Context) (error, error)) error {
	ctx, cancel := within()
	defer cancel()
	for {
		err := errors.Join(ask(ctx))
		var code kafka.Error
		if !errors.As(err, &code) || !code.Temporary() && code != kafka.ConcurrentTransactions || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// transactional is a producer of offsets; its group has the name of its transactional id.
type transactional struct {
	id      string
	session kafka.ProducerSession
}

func open(id string) (transactional, error) {
	producer := transactional{id: id}
	err := patiently(func(ctx context.Context) (error, error) {
		response, err := client.InitProducerID(ctx, &kafka.InitProducerIDRequest{
			TransactionalID: id, TransactionTimeoutMs: 30_000, ProducerID: -1, ProducerEpoch: -1})
		if err != nil {
			return err, nil
		}
		producer.session = *response.Producer
		return nil, response.Error
	})
	return producer, err
}

// send is a whole transaction that commits an offset of partition 0.
func (p transactional) send(topic string, offset int64, commits bool) error {
	id, epoch := p.session.ProducerID, p.session.ProducerEpoch
	if err := patiently(func(ctx context.Context) (error, error) {
		response, err := client.AddOffsetsToTxn(ctx, &kafka.AddOffsetsToTxnRequest{
			TransactionalID: p.id, ProducerID: id, ProducerEpoch: epoch, GroupID: p.id})
		if err != nil {
			return err, nil
		}
		return nil, response.Error
	}); err != nil {
		return err
	}
	if err := patiently(func(ctx context.Context) (error, error) {
		response, err := client.TxnOffsetCommit(ctx, &kafka.TxnOffsetCommitRequest{
			TransactionalID: p.id, ProducerID: id, ProducerEpoch: epoch, GroupID: p.id, GenerationID: -1,
			Topics: map[string][]kafka.TxnOffsetCommit{topic: {{Partition: 0, Offset: offset, Metadata: "note"}}}})
		if err != nil {
			return err, nil
		}
		return nil, response.Topics[topic][0].Error
	}); err != nil {
		return err
	}
	return patiently(func(ctx context.Context) (error, error) {
		response, err := client.EndTxn(ctx, &kafka.EndTxnRequest{
			TransactionalID: p.id, ProducerID: id, ProducerEpoch: epoch, Committed: commits})
		if err != nil {
			return err, nil
		}
		return nil, response.Error
	})
}

// committed is the offset that the group has for partition 0.
func committed(group, topic string) (offset int64, err error) {
	err = patiently(func(ctx context.Context) (error, error) {
		response, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {0}}})
		if err != nil {
			return err, nil
		}
		offset = response.Topics[topic][0].CommittedOffset
		return response.Error, response.Topics[topic][0].Error
	})
	return offset, err
}

// sendOffsets: a group's offset is what the last committed transaction says, and an old epoch is fenced.
func sendOffsets() error {
	topic, id := task.Prefix+"-none", task.Prefix+"-offsets"
	first, err := open(id)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		offset  int64
		commits bool
		want    int64
	}{{5, true, 5}, {9, false, 5}, {11, true, 11}} {
		if err := first.send(topic, step.offset, step.commits); err != nil {
			return err
		}
		// A transaction is answered before its markers are written, so that an older offset may show for a moment.
		got, err := committed(id, topic)
		for deadline := time.Now().Add(10 * time.Second); err == nil && got != step.want && time.Now().Before(deadline); {
			got, err = committed(id, topic)
		}
		if err != nil || got != step.want {
			return fmt.Errorf("committed is %d (%v), expected %d", got, err, step.want)
		}
	}
	if _, err := open(id); err != nil {
		return err
	}
	err = first.send(topic, 12, true)
	if errors.Is(err, kafka.ProducerFenced) {
		return nil
	}
	return task.ExpectError(err, kafka.InvalidProducerEpoch)
}

func unknownTopic() error {
	strict, err := task.Strict()
	if err != nil {
		return err
	}
	one := []task.Record{{Value: []byte("x"), Timestamp: records[0].Timestamp}}
	return task.ExpectError(produce(strict, task.Prefix+"-unknown", one, 0, 1<<20), kafka.UnknownTopicOrPartition)
}
