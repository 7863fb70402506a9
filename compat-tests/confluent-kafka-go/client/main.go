// Confluent-kafka-go (librdkafka, linked statically) without a group: Producer, Consumer.Assign, AdminClient.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"ottla.compat/task"
)

var records = task.Fixture()

func main() {
	task.Run(append(task.RoundTrips(roundTrip),
		task.Case{Name: "offsets-by-timestamp", Body: offsetsByTimestamp},
		task.Case{Name: "seek", Body: seek},
		task.Case{Name: "large-record", Body: largeRecord},
		task.Case{Name: "too-large-record", Body: tooLargeRecord},
		task.Case{Name: "idempotence", Body: idempotence},
		task.Case{Name: "transactions", Body: transactions},
		task.Case{Name: "create-topic", Body: createTopic},
		task.Case{Name: "topic-configs", Body: topicConfigs},
		task.Case{Name: "unknown-topic", Body: unknownTopic},
	))
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

func settings(bootstrap string, more kafka.ConfigMap) *kafka.ConfigMap {
	all := kafka.ConfigMap{"bootstrap.servers": bootstrap}
	for name, value := range more {
		all[name] = value
	}
	return &all
}

// send writes in order to partition 0; the offsets acknowledged must be first, first+1 ...
func send(producer *kafka.Producer, topic string, list []task.Record, first int64) error {
	delivered := make(chan kafka.Event, len(list))
	for _, one := range list {
		message := &kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0},
			Key:            one.Key, Value: one.Value, Timestamp: time.UnixMilli(one.Timestamp),
		}
		for _, header := range one.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: header.Name, Value: header.Value})
		}
		if err := producer.Produce(message, delivered); err != nil {
			return err
		}
	}
	for i := range list {
		message := (<-delivered).(*kafka.Message)
		if err := message.TopicPartition.Error; err != nil {
			return err
		}
		if got := int64(message.TopicPartition.Offset); got != first+int64(i) {
			return fmt.Errorf("record %d was acknowledged at offset %d", i, got)
		}
	}
	return nil
}

func produce(bootstrap, topic string, list []task.Record, more kafka.ConfigMap) error {
	producer, err := kafka.NewProducer(settings(bootstrap, more))
	if err != nil {
		return err
	}
	defer producer.Close()
	return send(producer, topic, list, 0)
}

// consume reads from an offset to the end of the partition.
func consume(topic string, from int64, isolation string) ([]task.Record, error) {
	consumer, err := kafka.NewConsumer(settings(task.Bootstrap, kafka.ConfigMap{
		"group.id": "unused", "enable.partition.eof": true, "auto.offset.reset": "error", "isolation.level": isolation,
	}))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	if err := consumer.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: kafka.Offset(from)}}); err != nil {
		return nil, err
	}
	var found []task.Record
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		switch event := consumer.Poll(500).(type) {
		case *kafka.Message:
			one := task.Record{Key: event.Key, Value: event.Value, Timestamp: event.Timestamp.UnixMilli(), Offset: int64(event.TopicPartition.Offset)}
			for _, header := range event.Headers {
				one.Headers = append(one.Headers, task.Header{Name: header.Key, Value: header.Value})
			}
			found = append(found, one)
		case kafka.PartitionEOF:
			return found, nil
		case kafka.Error:
			return nil, event
		}
	}
	return nil, fmt.Errorf("no end of the partition after %d records", len(found))
}

func writeAndRead(topic string, list []task.Record, more kafka.ConfigMap) error {
	if err := produce(task.Bootstrap, topic, list, more); err != nil {
		return err
	}
	for _, isolation := range []string{"read_committed", "read_uncommitted"} {
		found, err := consume(topic, 0, isolation)
		if err != nil {
			return err
		}
		if err := task.Compare(found, list, 0); err != nil {
			return err
		}
	}
	return nil
}

func roundTrip(codec string) error {
	return writeAndRead(task.Prefix+"-"+codec, records, kafka.ConfigMap{"compression.type": codec})
}

func offsetsByTimestamp() error {
	consumer, err := kafka.NewConsumer(settings(task.Bootstrap, kafka.ConfigMap{"group.id": "unused"}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	topic := task.Prefix + "-none"
	if low, high, err := consumer.QueryWatermarkOffsets(topic, 0, 15000); err != nil || low != 0 || high != int64(len(records)) {
		return fmt.Errorf("watermarks %d and %d (%v)", low, high, err)
	}
	return task.CheckOffsetsByTimestamp(records, func(at int64) (int64, error) {
		found, err := consumer.OffsetsForTimes([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: kafka.Offset(at)}}, 15000)
		if err != nil {
			return 0, err
		}
		return max(int64(found[0].Offset), -1), found[0].Error
	})
}

func seek() error {
	for _, start := range []int{1, 150, 299, 300} {
		found, err := consume(task.Prefix+"-lz4", int64(start), "read_committed")
		if err != nil {
			return err
		}
		if err := task.Compare(found, records[start:], int64(start)); err != nil {
			return err
		}
	}
	_, err := consume(task.Prefix+"-lz4", int64(len(records)+1), "read_committed")
	return expect(err, kafka.ErrAutoOffsetReset)
}

// expect demands an error with the code.
func expect(err error, code kafka.ErrorCode) error {
	var found kafka.Error
	if errors.As(err, &found) && found.Code() == code {
		return nil
	}
	return fmt.Errorf("got %v, expected %v", err, code)
}

func one(size int) []task.Record {
	return []task.Record{{Value: task.Incompressible(size), Timestamp: records[0].Timestamp}}
}

func largeRecord() error {
	return writeAndRead(task.Prefix+"-large", one(900_000), nil)
}

func tooLargeRecord() error {
	err := produce(task.Bootstrap, task.Prefix+"-too-large", one(1_500_000), kafka.ConfigMap{"message.max.bytes": 4 << 20})
	return expect(err, kafka.ErrMsgSizeTooLarge)
}

func idempotence() error {
	more := kafka.ConfigMap{"enable.idempotence": true, "batch.num.messages": 10}
	return writeAndRead(task.Prefix+"-idempotent", task.Numbered(5000, records[0].Timestamp), more)
}

// transactions: committed records are read, aborted ones only by who reads uncommitted; an old epoch is fenced.
func transactions() error {
	topic, list := task.Prefix+"-transactions", task.Numbered(10, records[0].Timestamp)
	ctx, cancel := within()
	defer cancel()
	open := func() (*kafka.Producer, error) {
		producer, err := kafka.NewProducer(settings(task.Bootstrap, kafka.ConfigMap{"transactional.id": topic}))
		if err != nil {
			return nil, err
		}
		return producer, producer.InitTransactions(ctx)
	}
	first, err := open()
	if err != nil {
		return err
	}
	defer first.Close()
	run := func(at int64, end func(context.Context) error) error {
		if err := first.BeginTransaction(); err != nil {
			return err
		}
		if err := send(first, topic, list, at); err != nil {
			return err
		}
		return end(ctx)
	}
	if err := run(0, first.AbortTransaction); err != nil {
		return err
	}
	// A marker follows the ten records of each.
	if err := run(11, first.CommitTransaction); err != nil {
		return err
	}
	found, err := consume(topic, 0, "read_committed")
	if err != nil {
		return err
	}
	if err := task.Compare(found, list, 11); err != nil {
		return err
	}
	if found, err = consume(topic, 0, "read_uncommitted"); err != nil || len(found) != 20 {
		return fmt.Errorf("%d records read uncommitted (%w), written 20", len(found), err)
	}
	second, err := open()
	if err != nil {
		return err
	}
	defer second.Close()
	// Its records are purged when it hears that it is fenced; the error that says so is the producer's own.
	if err := expect(run(22, first.CommitTransaction), kafka.ErrPurgeQueue); err != nil {
		return err
	}
	return expect(first.GetFatalError(), kafka.ErrFenced)
}

func withAdmin(body func(context.Context, *kafka.AdminClient) error) error {
	admin, err := kafka.NewAdminClient(settings(task.Bootstrap, nil))
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := within()
	defer cancel()
	return body(ctx, admin)
}

// create creates a topic with a configuration and returns its error.
func create(ctx context.Context, admin *kafka.AdminClient, topic string, config map[string]string) error {
	results, err := admin.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: topic, NumPartitions: 3, ReplicationFactor: 1, Config: config}})
	return first(results, err)
}

func remove(ctx context.Context, admin *kafka.AdminClient, topic string) error {
	results, err := admin.DeleteTopics(ctx, []string{topic})
	return first(results, err)
}

func first(results []kafka.TopicResult, err error) error {
	if err == nil && results[0].Error.Code() != kafka.ErrNoError {
		return results[0].Error
	}
	return err
}

func createTopic() error {
	return withAdmin(func(ctx context.Context, admin *kafka.AdminClient) error {
		topic, limit := task.Prefix+"-created", map[string]string{"max.message.bytes": "2000"}
		if err := create(ctx, admin, topic, limit); err != nil {
			return err
		}
		if err := expect(create(ctx, admin, topic, limit), kafka.ErrTopicAlreadyExists); err != nil {
			return err
		}
		metadata, err := admin.GetMetadata(&topic, false, 15000)
		if err != nil || len(metadata.Topics[topic].Partitions) != 3 {
			return fmt.Errorf("metadata %v (%v), 3 partitions were asked for", metadata, err)
		}
		if err := expect(produce(task.Bootstrap, topic, one(3000), nil), kafka.ErrMsgSizeTooLarge); err != nil {
			return err
		}
		if err := remove(ctx, admin, topic); err != nil {
			return err
		}
		return expect(remove(ctx, admin, topic), kafka.ErrUnknownTopicOrPart)
	})
}

func topicConfigs() error {
	return withAdmin(func(ctx context.Context, admin *kafka.AdminClient) error {
		topic, key := task.Prefix+"-configured", "retention.ms"
		if err := create(ctx, admin, topic, map[string]string{key: "3600000"}); err != nil {
			return err
		}
		resource := kafka.ConfigResource{Type: kafka.ResourceTopic, Name: topic}
		current := func() (string, error) {
			results, err := admin.DescribeConfigs(ctx, []kafka.ConfigResource{resource})
			if err != nil || results[0].Error.Code() != kafka.ErrNoError {
				return "", fmt.Errorf("%v (%w)", results, err)
			}
			return results[0].Config[key].Value, nil
		}
		alter := func(value string) error {
			changed := resource
			changed.Config = []kafka.ConfigEntry{{Name: key, Value: value, IncrementalOperation: kafka.AlterConfigOpTypeSet}}
			results, err := admin.IncrementalAlterConfigs(ctx, []kafka.ConfigResource{changed})
			if err == nil && results[0].Error.Code() != kafka.ErrNoError {
				return results[0].Error
			}
			return err
		}
		if err := task.CheckConfigs(current, alter); err != nil {
			return err
		}
		if err := expect(alter("many"), kafka.ErrInvalidConfig); err != nil {
			return err
		}
		return remove(ctx, admin, topic)
	})
}

func unknownTopic() error {
	strict, err := task.Strict()
	if err != nil {
		return err
	}
	err = produce(strict, task.Prefix+"-unknown", one(1), kafka.ConfigMap{"message.timeout.ms": 8000, "topic.metadata.propagation.max.ms": 1000})
	if expect(err, kafka.ErrUnknownTopicOrPart) == nil {
		return nil
	}
	return expect(err, kafka.ErrUnknownTopic)
}
