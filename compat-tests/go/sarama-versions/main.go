// Sarama told that the broker is of some version. What the broker serves of that version has to work; of a version whose
// requests are served no more there is to be an error, not silence.
package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/IBM/sarama"
	"ottla.compat/task"
)

func main() {
	task.Run([]task.Case{
		{Name: "version-0.11", Body: func() error { return writeAndRead(sarama.V0_11_0_0) }},
		{Name: "version-2.4", Body: func() error { return writeAndRead(sarama.V2_4_0_0) }},
		{Name: "unserved-version", Body: unserved},
	})
}

func config(version sarama.KafkaVersion) *sarama.Config {
	settings := sarama.NewConfig()
	settings.Version = version
	settings.Producer.Return.Successes = true
	settings.Producer.Partitioner = sarama.NewManualPartitioner
	settings.Producer.Retry.Max = 0
	settings.Consumer.Return.Errors = true
	return settings
}

func write(topic string, version sarama.KafkaVersion) error {
	producer, err := sarama.NewSyncProducer([]string{task.Bootstrap}, config(version))
	if err != nil {
		return err
	}
	defer producer.Close()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("a record")})
	return err
}

// read returns the first record's value, or what the consumer reports in its place.
func read(topic string, version sarama.KafkaVersion) (string, error) {
	consumer, err := sarama.NewConsumer([]string{task.Bootstrap}, config(version))
	if err != nil {
		return "", err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, 0)
	if err != nil {
		return "", err
	}
	defer partition.Close()
	select {
	case message := <-partition.Messages():
		return string(message.Value), nil
	case failure := <-partition.Errors():
		return "", failure.Err
	case <-time.After(30 * time.Second):
		return "", errors.New("neither a record nor an error in 30 s")
	}
}

func writeAndRead(version sarama.KafkaVersion) error {
	topic := task.Prefix + "-sarama-" + version.String()
	if err := write(topic, version); err != nil {
		return err
	}
	value, err := read(topic, version)
	if err == nil && value != "a record" {
		return fmt.Errorf("%q was read", value)
	}
	return err
}

// Version 0.10.2 sends Produce 2 and Fetch 3, which the broker closes the connection upon. One that asks what is served
// sends newer ones, and goes on.
func unserved() error {
	topic := task.Prefix + "-sarama-unserved"
	if err := write(topic, sarama.V1_0_0_0); err != nil {
		return err
	}
	if err := write(topic, sarama.V0_10_2_0); !errors.Is(err, io.EOF) {
		return fmt.Errorf("written with %v, the end of the connection was expected", err)
	}
	if value, err := read(topic, sarama.V0_10_2_0); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%q read with %v, the end of the connection was expected", value, err)
	}
	return nil
}
