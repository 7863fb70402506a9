// Sarama's transactional producer: transactions of version 1.
package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"ottla.compat/task"
)

// A record outside of transactions: a reader that has it has read the partition.
const end = "end"

func main() {
	task.Run([]task.Case{
		{Name: "commit-and-abort", Body: commitAndAbort},
		{Name: "send-offsets", Body: sendOffsets},
		{Name: "fencing", Body: fencing},
		{Name: "timeout", Body: timeout},
	})
}

func config() *sarama.Config {
	settings := sarama.NewConfig()
	settings.Version = sarama.V2_8_0_0
	settings.Producer.RequiredAcks = sarama.WaitForAll
	settings.Producer.Return.Successes = true
	settings.Producer.Partitioner = sarama.NewManualPartitioner
	return settings
}

func producer(id string, timeout time.Duration) (sarama.SyncProducer, error) {
	settings := config()
	settings.Producer.Idempotent = true
	settings.Net.MaxOpenRequests = 1
	settings.Producer.Transaction.ID = task.Prefix + "-" + id
	settings.Producer.Transaction.Timeout = timeout
	return sarama.NewSyncProducer([]string{task.Bootstrap}, settings)
}

func newTopic(name string) (string, error) {
	name = task.Prefix + "-txn-" + name
	admin, err := sarama.NewClusterAdmin([]string{task.Bootstrap}, config())
	if err != nil {
		return "", err
	}
	defer admin.Close()
	return name, admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false)
}

func send(to sarama.SyncProducer, topic string, partition int32, value string) error {
	_, _, err := to.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(value)})
	return err
}

// expectValues compares all committed values of both partitions, sorted.
func expectValues(topic string, wanted []string) error {
	plain, err := sarama.NewSyncProducer([]string{task.Bootstrap}, config())
	if err != nil {
		return err
	}
	defer plain.Close()
	settings := config()
	settings.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer([]string{task.Bootstrap}, settings)
	if err != nil {
		return err
	}
	defer consumer.Close()
	var found []string
	for partition := range int32(2) {
		if err := send(plain, topic, partition, end); err != nil {
			return err
		}
		values, err := read(consumer, topic, partition)
		if err != nil {
			return err
		}
		found = append(found, values...)
	}
	slices.Sort(found)
	if !slices.Equal(found, wanted) {
		return fmt.Errorf("read %v, expected %v", found, wanted)
	}
	return nil
}

func read(consumer sarama.Consumer, topic string, partition int32) ([]string, error) {
	reader, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	late := time.After(60 * time.Second)
	var found []string
	for {
		select {
		case message := <-reader.Messages():
			if string(message.Value) == end {
				return found, nil
			}
			found = append(found, string(message.Value))
		case <-late:
			return nil, fmt.Errorf("no end after %d records", len(found))
		}
	}
}

func commitAndAbort() error {
	topic, err := newTopic("commit")
	if err != nil {
		return err
	}
	writer, err := producer("commit", time.Minute)
	if err != nil {
		return err
	}
	defer writer.Close()
	var committed []string
	for number := range 20 {
		if err := writer.BeginTxn(); err != nil {
			return err
		}
		for partition := range int32(2) {
			value := fmt.Sprintf("%02d-%d", number, partition)
			if err := send(writer, topic, partition, value); err != nil {
				return err
			}
			if number%3 > 0 {
				committed = append(committed, value)
			}
		}
		if number%3 > 0 {
			err = writer.CommitTxn()
		} else {
			err = writer.AbortTxn()
		}
		if err != nil {
			return err
		}
	}
	return expectValues(topic, committed)
}

func sendOffsets() error {
	topic, err := newTopic("offsets")
	if err != nil {
		return err
	}
	writer, err := producer("offsets", time.Minute)
	if err != nil {
		return err
	}
	defer writer.Close()
	group := task.Prefix + "-offsets"
	for _, step := range []struct {
		offset  int64
		commits bool
		visible int64
	}{{5, true, 5}, {9, false, 5}, {11, true, 11}} {
		if err := writer.BeginTxn(); err != nil {
			return err
		}
		// Sarama opens the coordinator's transaction with its first record.
		if err := send(writer, topic, 0, "record"); err != nil {
			return err
		}
		offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: step.offset}}}
		if err := writer.AddOffsetsToTxn(offsets, group); err != nil {
			return err
		}
		if step.commits {
			err = writer.CommitTxn()
		} else {
			err = writer.AbortTxn()
		}
		if err != nil {
			return err
		}
		if err := expectOffset(group, topic, step.visible); err != nil {
			return err
		}
	}
	return nil
}

func expectOffset(group, topic string, wanted int64) error {
	admin, err := sarama.NewClusterAdmin([]string{task.Bootstrap}, config())
	if err != nil {
		return err
	}
	defer admin.Close()
	// The markers may still be under way; the broker then answers with the offset before.
	var found int64
	for range 100 {
		answer, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
		if err != nil {
			return err
		}
		if found = answer.GetBlock(topic, 0).Offset; found == wanted {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("offset %d where %d was expected", found, wanted)
}

func fencing() error {
	topic, err := newTopic("fencing")
	if err != nil {
		return err
	}
	zombie, err := producer("fencing", time.Minute)
	if err != nil {
		return err
	}
	defer zombie.Close()
	if err := begin(zombie, topic, "zombie"); err != nil {
		return err
	}
	// The first to ask aborts what is open, and sarama leaves it to the application to ask again.
	next, err := producer("fencing", time.Minute)
	for tries := 0; errors.Is(err, sarama.ErrConcurrentTransactions) && tries < 100; tries++ {
		time.Sleep(50 * time.Millisecond)
		next, err = producer("fencing", time.Minute)
	}
	if err != nil {
		return err
	}
	defer next.Close()
	if err := begin(next, topic, "new"); err != nil {
		return err
	}
	if err := zombie.CommitTxn(); err == nil {
		return errors.New("a replaced producer committed")
	}
	if err := next.CommitTxn(); err != nil {
		return err
	}
	return expectValues(topic, []string{"new"})
}

// begin opens a transaction with one record in it.
func begin(writer sarama.SyncProducer, topic, value string) error {
	if err := writer.BeginTxn(); err != nil {
		return err
	}
	return send(writer, topic, 0, value)
}

func timeout() error {
	topic, err := newTopic("timeout")
	if err != nil {
		return err
	}
	slow, err := producer("timeout", 2*time.Second)
	if err != nil {
		return err
	}
	defer slow.Close()
	if err := begin(slow, topic, "late"); err != nil {
		return err
	}
	// Apache Kafka looks for such transactions every ten seconds. What follows the transaction is readable once it is over.
	if err := expectValues(topic, nil); err != nil {
		return err
	}
	if err := slow.CommitTxn(); err == nil {
		return errors.New("a transaction was committed that had been aborted")
	}
	return nil
}
