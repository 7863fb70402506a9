// franz-go held to the versions of an old Kafka. What the broker serves of them has to work; where it serves none of them,
// the client has to say so.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"ottla.compat/task"
)

func main() {
	task.Run([]task.Case{
		{Name: "version-1.0", Body: func() error { return writeAndRead("1.0", kversion.V1_0_0()) }},
		{Name: "version-2.4", Body: func() error { return writeAndRead("2.4", kversion.V2_4_0()) }},
		{Name: "unserved-version", Body: unserved},
	})
}

func client(versions *kversion.Versions, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(task.Bootstrap), kgo.MaxVersions(versions), kgo.AllowAutoTopicCreation(), kgo.DisableIdempotentWrite()}, more...)...)
}

func write(topic string, versions *kversion.Versions, patience time.Duration) error {
	producer, err := client(versions, kgo.RecordDeliveryTimeout(patience))
	if err != nil {
		return err
	}
	defer producer.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	return producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("a record")}).FirstErr()
}

func read(topic string, versions *kversion.Versions, patience time.Duration) (string, error) {
	consumer, err := client(versions, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return "", err
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	fetches := consumer.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return "", err
	}
	return string(fetches.Records()[0].Value), nil
}

func writeAndRead(name string, versions *kversion.Versions) error {
	topic := task.Prefix + "-franz-" + name
	if err := write(topic, versions, 20*time.Second); err != nil {
		return err
	}
	value, err := read(topic, versions, 20*time.Second)
	if err == nil && value != "a record" {
		return fmt.Errorf("%q was read", value)
	}
	return err
}

func unserved() error {
	topic, old := task.Prefix+"-franz-unserved", kversion.V0_10_2()
	if err := write(topic, kversion.V1_0_0(), 20*time.Second); err != nil {
		return err
	}
	if err := write(topic, old, 2*time.Second); !errors.Is(err, kgo.ErrRecordTimeout) {
		return fmt.Errorf("written with %v, a timeout was expected", err)
	}
	if value, err := read(topic, old, 2*time.Second); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%q read with %v", value, err)
	}
	return nil
}
