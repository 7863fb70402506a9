// Sarama at its default version. For 1.40.1 this is 1.0.0, and it negotiates nothing: every version it sends must be
// served. The newest (built with sarama-new/go.mod) speaks as to Apache Kafka 2.8.
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"ottla.compat/task"
)

var records = task.Fixture()

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func main() {
	for i := range records {
		records[i] = possible(records[i])
	}
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

// Sarama reads a null header value as an empty one.
func possible(record task.Record) task.Record {
	for i, header := range record.Headers {
		if header.Value == nil {
			record.Headers[i].Value = []byte{}
		}
	}
	return record
}

func config() *sarama.Config {
	settings := sarama.NewConfig()
	settings.Producer.RequiredAcks = sarama.WaitForAll
	settings.Producer.Return.Successes = true
	settings.Producer.Partitioner = sarama.NewManualPartitioner
	return settings
}

func encoder(data []byte) sarama.Encoder {
	if data == nil {
		return nil
	}
	return sarama.ByteEncoder(data)
}

// newProducer tries again while the broker is not ready to give a producer id, which 1.40.1 leaves to its user.
func newProducer(bootstrap string, settings *sarama.Config) (producer sarama.SyncProducer, err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		producer, err = sarama.NewSyncProducer([]string{bootstrap}, settings)
		if !errors.Is(err, sarama.ErrOffsetsLoadInProgress) {
			break
		}
	}
	return producer, err
}

// produce writes in order to partition 0; the offsets acknowledged must be 0, 1, 2 ...
func produce(bootstrap, topic string, list []task.Record, settings *sarama.Config) error {
	producer, err := newProducer(bootstrap, settings)
	if err != nil {
		return err
	}
	defer producer.Close()
	var out []*sarama.ProducerMessage
	for _, one := range list {
		message := &sarama.ProducerMessage{Topic: topic, Key: encoder(one.Key), Value: encoder(one.Value),
			Timestamp: time.UnixMilli(one.Timestamp)}
		for _, header := range one.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Name), Value: header.Value})
		}
		out = append(out, message)
	}
	if err := producer.SendMessages(out); err != nil {
		var all sarama.ProducerErrors
		if errors.As(err, &all) {
			return all[0].Err
		}
		return err
	}
	for i, message := range out {
		if message.Offset != int64(i) {
			return fmt.Errorf("record %d was acknowledged at offset %d", i, message.Offset)
		}
	}
	return nil
}

// consume reads count records from an offset.
func consume(topic string, from int64, count int, settings *sarama.Config) ([]task.Record, error) {
	consumer, err := sarama.NewConsumer([]string{task.Bootstrap}, settings)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, from)
	if err != nil {
		return nil, err
	}
	defer partition.Close()
	limit := time.After(30 * time.Second)
	var found []task.Record
	for len(found) < count {
		select {
		case m := <-partition.Messages():
			one := task.Record{Key: m.Key, Value: m.Value, Timestamp: m.Timestamp.UnixMilli(), Offset: m.Offset}
			for _, header := range m.Headers {
				one.Headers = append(one.Headers, task.Header{Name: string(header.Key), Value: append([]byte{}, header.Value...)})
			}
			found = append(found, one)
		case <-limit:
			return nil, fmt.Errorf("%d of %d records in 30 s", len(found), count)
		}
	}
	return found, nil
}

func writeAndRead(topic string, list []task.Record, settings *sarama.Config) error {
	if err := produce(task.Bootstrap, topic, list, settings); err != nil {
		return err
	}
	found, err := consume(topic, 0, len(list), settings)
	if err != nil {
		return err
	}
	return task.Compare(found, list, 0)
}

func roundTrip(codec string) error {
	settings := config()
	settings.Producer.Compression = codecs[codec]
	if codec == "zstd" && !settings.Version.IsAtLeast(sarama.V2_1_0_0) {
		settings.Version = sarama.V2_1_0_0
	}
	return writeAndRead(task.Prefix+"-"+codec, records, settings)
}

func offsetsByTimestamp() error {
	client, err := sarama.NewClient([]string{task.Bootstrap}, config())
	if err != nil {
		return err
	}
	defer client.Close()
	topic := task.Prefix + "-none"
	if end, err := client.GetOffset(topic, 0, sarama.OffsetNewest); err != nil || end != int64(len(records)) {
		return fmt.Errorf("newest offset %d (%v)", end, err)
	}
	return task.CheckOffsetsByTimestamp(records, func(at int64) (int64, error) { return client.GetOffset(topic, 0, at) })
}

func seek() error {
	for _, start := range []int{1, 150, 299} {
		found, err := consume(task.Prefix+"-lz4", int64(start), len(records)-start, config())
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
	one := []task.Record{{Value: task.Incompressible(900_000), Timestamp: records[0].Timestamp}}
	return writeAndRead(task.Prefix+"-large", one, config())
}

func tooLargeRecord() error {
	settings := config()
	settings.Producer.MaxMessageBytes = 4 << 20
	one := []task.Record{{Value: task.Incompressible(1_500_000), Timestamp: records[0].Timestamp}}
	return task.ExpectError(produce(task.Bootstrap, task.Prefix+"-too-large", one, settings), sarama.ErrMessageSizeTooLarge)
}

func idempotence() error {
	settings := config()
	settings.Producer.Idempotent = true
	settings.Net.MaxOpenRequests = 1
	settings.Producer.Flush.MaxMessages = 50
	return writeAndRead(task.Prefix+"-idempotent", task.Numbered(5000, records[0].Timestamp), settings)
}

func createTopic() error {
	admin, err := sarama.NewClusterAdmin([]string{task.Bootstrap}, config())
	if err != nil {
		return err
	}
	defer admin.Close()
	topic, limit := task.Prefix+"-created", "2000"
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"max.message.bytes": &limit}}
	if err := admin.CreateTopic(topic, detail, false); err != nil {
		return err
	}
	if err := task.ExpectError(admin.CreateTopic(topic, detail, false), sarama.ErrTopicAlreadyExists); err != nil {
		return err
	}
	one := []task.Record{{Value: task.Incompressible(3000), Timestamp: records[0].Timestamp}}
	if err := task.ExpectError(produce(task.Bootstrap, topic, one, config()), sarama.ErrMessageSizeTooLarge); err != nil {
		return err
	}
	return admin.DeleteTopic(topic)
}

func topicConfigs() error {
	admin, err := sarama.NewClusterAdmin([]string{task.Bootstrap}, config())
	if err != nil {
		return err
	}
	defer admin.Close()
	topic, key, value := task.Prefix+"-configured", "retention.ms", "3600000"
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: map[string]*string{key: &value}}
	if err := admin.CreateTopic(topic, detail, false); err != nil {
		return err
	}
	current := func() (string, error) {
		found, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}})
		if err != nil || len(found) != 1 {
			return "", fmt.Errorf("%d entries (%w), one was asked for", len(found), err)
		}
		return found[0].Value, nil
	}
	alter := func(value string) error {
		return admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{key: &value}, false)
	}
	if err := task.CheckConfigs(current, alter); err != nil {
		return err
	}
	return admin.DeleteTopic(topic)
}

func unknownTopic() error {
	strict, err := task.Strict()
	if err != nil {
		return err
	}
	settings := config()
	settings.Metadata.Retry.Max, settings.Producer.Retry.Max = 2, 2
	one := []task.Record{{Value: []byte("x"), Timestamp: records[0].Timestamp}}
	return task.ExpectError(produce(strict, task.Prefix+"-unknown", one, settings), sarama.ErrUnknownTopicOrPartition)
}
