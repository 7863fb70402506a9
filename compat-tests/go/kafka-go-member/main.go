// A group member of segmentio's kafka-go, on its ConsumerGroup: the contract is in harness/member.py.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"ottla.compat/task"
)

func main() {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: task.MemberGroup, Brokers: []string{task.MemberBootstrap}, Topics: []string{task.MemberTopic},
		SessionTimeout: task.MemberSession, HeartbeatInterval: task.MemberHeartbeat,
		JoinGroupBackoff: 200 * time.Millisecond, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop := task.Stopped()
	go func() {
		<-stop
		cancel()
	}()
	for ctx.Err() == nil {
		generation, err := group.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				task.Print("next: " + err.Error())
			}
			continue
		}
		own(ctx, generation)
	}
	if err := group.Close(); err != nil {
		task.Print("close: " + err.Error())
	}
}

// own reads the partitions of a generation until it ends; what it read last is committed before the next begins.
func own(stopped context.Context, generation *kafka.Generation) {
	var partitions []int32
	for _, one := range generation.Assignments[task.MemberTopic] {
		partitions = append(partitions, int32(one.ID))
	}
	task.Tell("assigned", partitions)
	var readers sync.WaitGroup
	for _, one := range generation.Assignments[task.MemberTopic] {
		readers.Add(1)
		generation.Start(func(ctx context.Context) {
			defer readers.Done()
			either, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(stopped, cancel)()
			read(either, generation, one)
		})
	}
	generation.Start(func(ctx context.Context) {
		select {
		case <-ctx.Done():
		case <-stopped.Done():
		}
		readers.Wait()
		task.Tell("revoked", partitions)
	})
}

func read(ctx context.Context, generation *kafka.Generation, partition kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{task.MemberBootstrap}, Topic: task.MemberTopic, Partition: partition.ID,
		MaxWait: 100 * time.Millisecond, ReadBackoffMin: 10 * time.Millisecond, ReadBackoffMax: 100 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(partition.Offset); err != nil {
		task.Print("offset: " + err.Error())
		return
	}
	for {
		message, err := reader.ReadMessage(ctx)
		if errors.Is(err, context.Canceled) || errors.Is(err, kafka.ErrGenerationEnded) || ctx.Err() != nil {
			return
		}
		if err != nil {
			task.Print("read: " + err.Error())
			continue
		}
		task.TellRecord(int32(message.Partition), message.Offset, message.Value)
		offsets := map[string]map[int]int64{task.MemberTopic: {message.Partition: message.Offset + 1}}
		if err := generation.CommitOffsets(offsets); err != nil {
			task.Print("commit: " + err.Error())
		}
	}
}
