// A group member of sarama, at the versions that it sends without asking: the contract is in harness/member.py.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"ottla.compat/task"
)

type member struct{}

// Commits of several goroutines at once can overtake each other and put an offset back.
var committing sync.Mutex

func (member) Setup(session sarama.ConsumerGroupSession) error {
	task.Tell("assigned", session.Claims()[task.MemberTopic])
	return nil
}

func (member) Cleanup(session sarama.ConsumerGroupSession) error {
	task.Tell("revoked", session.Claims()[task.MemberTopic])
	return nil
}

// ConsumeClaim commits whenever nothing more is at hand.
func (member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			task.TellRecord(message.Partition, message.Offset, message.Value)
			session.MarkMessage(message, "")
			if len(claim.Messages()) == 0 {
				committing.Lock()
				session.Commit()
				committing.Unlock()
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func main() {
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = task.MemberSession
	config.Consumer.Group.Heartbeat.Interval = task.MemberHeartbeat
	config.Metadata.Retry.Max = 100
	if task.MemberInstance != "" {
		config.Version = sarama.V2_3_0_0
		config.Consumer.Group.InstanceId = task.MemberInstance
	}
	group, err := sarama.NewConsumerGroup([]string{task.MemberBootstrap}, task.MemberGroup, config)
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
		if err := group.Consume(ctx, []string{task.MemberTopic}, member{}); err != nil && ctx.Err() == nil {
			task.Print("consume: " + err.Error())
			time.Sleep(100 * time.Millisecond)
		}
	}
	if err := group.Close(); err != nil {
		task.Print("close: " + err.Error())
	}
}
