// Franz-go without a group: direct partitions, every codec, idempotent by default.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"ottla.compat/task"
)

var records = task.Fixture()

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func main() {
	task.Run(append(task.RoundTrips(roundTrip),
		task.Case{Name: "offsets-by-timestamp", Body: offsetsByTimestamp},
		task.Case{Name: "seek", Body: seek},
		task.Case{Name: "large-record", Body: largeRecord},
		task.Case{Name: "too-large-record", Body: tooLargeRecord},
		task.Case{Name: "idempotence", Body: idempotence},
		task.Case{Name: "create-topic", Body: createTopic},
		task.Case{Name: "topic-configs", Body: topicConfigs},
		task.Case{Name: "unknown-topic", Body: unknownTopic},
	))
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

// produce writes in order to partition 0; the offsets acknowledged must be 0, 1, 2 ...
func produce(bootstrap, topic string, list []task.Record, options ...kgo.Opt) error {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AllowAutoTopicCreation(),
		kgo.ProducerLinger(5 * time.Millisecond)}, options...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	var out []*kgo.Record
	for _, one := range list {
		record := &kgo.Record{Topic: topic, Key: one.Key, Value: one.Value, Timestamp: time.UnixMilli(one.Timestamp)}
		for _, header := range one.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
		}
		out = append(out, record)
	}
	results := client.ProduceSync(ctx, out...)
	for i, result := range results {
		if result.Err != nil {
			return result.Err
		}
		if out[i].Offset != int64(i) {
			return fmt.Errorf("record %d was acknowledged at offset %d", i, out[i].Offset)
		}
	}
	return nil
}

// consume reads count records from an offset.
func consume(topic string, from int64, count int, options ...kgo.Opt) ([]task.Record, error) {
	start := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(from)}}
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(task.Bootstrap), kgo.ConsumePartitions(start)}, options...)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	var found []task.Record
	for len(found) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("after %d records: %w", len(found), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			one := task.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli(), Offset: r.Offset}
			for _, header := range r.Headers {
				one.Headers = append(one.Headers, task.Header{Name: header.Key, Value: header.Value})
			}
			found = append(found, one)
		})
	}
	return found, nil
}

func roundTrip(codec string) error {
	topic := task.Prefix + "-" + codec
	if err := produce(task.Bootstrap, topic, records, kgo.ProducerBatchCompression(codecs[codec])); err != nil {
		return err
	}
	for _, isolation := range []kgo.IsolationLevel{kgo.ReadCommitted(), kgo.ReadUncommitted()} {
		found, err := consume(topic, 0, len(records), kgo.FetchIsolationLevel(isolation))
		if err != nil {
			return err
		}
		if err := task.Compare(found, records, 0); err != nil {
			return err
		}
	}
	return nil
}

func offsetsByTimestamp() error {
	client, err := kgo.NewClient(kgo.SeedBrokers(task.Bootstrap))
	if err != nil {
		return err
	}
	defer client.Close()
	return task.CheckOffsetsByTimestamp(records, func(at int64) (int64, error) {
		request := kmsg.NewPtrListOffsetsRequest()
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = task.Prefix + "-none"
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Timestamp = at
		topic.Partitions = append(topic.Partitions, partition)
		request.Topics = append(request.Topics, topic)
		ctx, cancel := within()
		defer cancel()
		response, err := request.RequestWith(ctx, client)
		if err != nil {
			return 0, err
		}
		found := response.Topics[0].Partitions[0]
		return found.Offset, kerr.ErrorForCode(found.ErrorCode)
	})
}

func seek() error {
	for _, start := range []int{1, 150, 299} {
		found, err := consume(task.Prefix+"-lz4", int64(start), len(records)-start)
		if err != nil {
			return err
		}
		if err := task.Compare(found, records[start:], int64(start)); err != nil {
			return err
		}
	}
	return nil
}

func largeRecord() error {
	topic, one := task.Prefix+"-large", []task.Record{{Value: task.Incompressible(900_000), Timestamp: records[0].Timestamp}}
	if err := produce(task.Bootstrap, topic, one); err != nil {
		return err
	}
	found, err := consume(topic, 0, 1)
	if err != nil {
		return err
	}
	return task.Compare(found, one, 0)
}

func tooLargeRecord() error {
	one := []task.Record{{Value: task.Incompressible(1_500_000), Timestamp: records[0].Timestamp}}
	err := produce(task.Bootstrap, task.Prefix+"-too-large", one, kgo.ProducerBatchMaxBytes(4<<20))
	return task.ExpectError(err, kerr.MessageTooLarge)
}

func idempotence() error {
	topic, many := task.Prefix+"-idempotent", task.Numbered(5000, records[0].Timestamp)
	if err := produce(task.Bootstrap, topic, many, kgo.ProducerBatchMaxBytes(1024)); err != nil {
		return err
	}
	found, err := consume(topic, 0, len(many))
	if err != nil {
		return err
	}
	return task.Compare(found, many, 0)
}

func createTopic() error {
	client, err := kgo.NewClient(kgo.SeedBrokers(task.Bootstrap))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	name := task.Prefix + "-created"
	if err := create(ctx, client, name, "max.message.bytes", "2000"); err != nil {
		return err
	}
	if err := task.ExpectError(create(ctx, client, name, "max.message.bytes", "2000"), kerr.TopicAlreadyExists); err != nil {
		return err
	}
	if count, err := partitions(ctx, client, name); err != nil || count != 3 {
		return fmt.Errorf("%d partitions (%w), 3 were asked for", count, err)
	}
	one := []task.Record{{Value: task.Incompressible(3000), Timestamp: records[0].Timestamp}}
	if err := task.ExpectError(produce(task.Bootstrap, name, one), kerr.MessageTooLarge); err != nil {
		return err
	}
	if err := remove(ctx, client, name); err != nil {
		return err
	}
	return task.ExpectError(remove(ctx, client, name), kerr.UnknownTopicOrPartition)
}

// create creates a topic of three partitions with a configuration.
func create(ctx context.Context, client *kgo.Client, name, key, value string) error {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
	topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: key, Value: &value}}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

func remove(ctx context.Context, client *kgo.Client, name string) error {
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.TopicNames = []string{name}
	request.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

func partitions(ctx context.Context, client *kgo.Client, name string) (int, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	return len(response.Topics[0].Partitions), kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

func topicConfigs() error {
	client, err := kgo.NewClient(kgo.SeedBrokers(task.Bootstrap))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	name, key := task.Prefix+"-configured", "retention.ms"
	if err := create(ctx, client, name, key, "3600000"); err != nil {
		return err
	}
	current := func() (string, error) {
		request := kmsg.NewPtrDescribeConfigsRequest()
		request.Resources = []kmsg.DescribeConfigsRequestResource{
			{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name, ConfigNames: []string{key}}}
		response, err := request.RequestWith(ctx, client)
		if err != nil {
			return "", err
		}
		found := response.Resources[0]
		if found.ErrorCode != 0 || len(found.Configs) != 1 || found.Configs[0].Value == nil {
			return "", fmt.Errorf("%d entries (%w), one was asked for", len(found.Configs), kerr.ErrorForCode(found.ErrorCode))
		}
		return *found.Configs[0].Value, nil
	}
	alter := func(value string) error {
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		request.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Value: &value}}}}
		response, err := request.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(response.Resources[0].ErrorCode)
	}
	if err := task.CheckConfigs(current, alter); err != nil {
		return err
	}
	if err := task.ExpectError(alter("many"), kerr.InvalidConfig); err != nil {
		return err
	}
	return remove(ctx, client, name)
}

func unknownTopic() error {
	strict, err := task.Strict()
	if err != nil {
		return err
	}
	one := []task.Record{{Value: []byte("x"), Timestamp: records[0].Timestamp}}
	err = produce(strict, task.Prefix+"-unknown", one, kgo.RecordDeliveryTimeout(5*time.Second), kgo.UnknownTopicRetries(2))
	if errors.Is(err, kgo.ErrRecordTimeout) {
		return nil
	}
	return task.ExpectError(err, kerr.UnknownTopicOrPartition)
}
