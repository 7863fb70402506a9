// A group member of confluent-kafka-go: the contract is in harness/member.py.
package main

import (
	"fmt"
	"os"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"ottla.compat/task"
)

func main() {
	settings := kafka.ConfigMap{
		"bootstrap.servers": task.MemberBootstrap, "group.id": task.MemberGroup, "group.protocol": os.Getenv("MEMBER_PROTOCOL"),
		"enable.auto.commit": false, "auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 200, "log_level": 3,
	}
	if task.MemberInstance != "" {
		settings["group.instance.id"] = task.MemberInstance
	}
	if os.Getenv("MEMBER_PROTOCOL") == "classic" {
		settings["session.timeout.ms"] = int(task.MemberSession.Milliseconds())
		settings["heartbeat.interval.ms"] = int(task.MemberHeartbeat.Milliseconds())
	}
	consumer, err := kafka.NewConsumer(&settings)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := consumer.SubscribeTopics([]string{task.MemberTopic}, tell); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	stop := task.Stopped()
	for read := 0; ; {
		event := consumer.Poll(100)
		if message, is := event.(*kafka.Message); is && message.TopicPartition.Error == nil {
			task.TellRecord(message.TopicPartition.Partition, int64(message.TopicPartition.Offset), message.Value)
			read++
		}
		if read > 0 && (event == nil || read >= 100) {
			if _, err := consumer.Commit(); err != nil {
				task.Print("commit: " + err.Error())
			}
			read = 0
		}
		select {
		case <-stop:
			if err := consumer.Close(); err != nil {
				task.Print("close: " + err.Error())
			}
			return
		default:
		}
	}
}

func tell(_ *kafka.Consumer, event kafka.Event) error {
	switch event := event.(type) {
	case kafka.AssignedPartitions:
		task.Tell("assigned", numbers(event.Partitions))
	case kafka.RevokedPartitions:
		task.Tell("revoked", numbers(event.Partitions))
	}
	return nil
}

func numbers(partitions []kafka.TopicPartition) (found []int32) {
	for _, one := range partitions {
		found = append(found, one.Partition)
	}
	return found
}
