// A group member of franz-go: the contract is in harness/member.py.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
	"ottla.compat/task"
)

func main() {
	options := []kgo.Opt{
		kgo.SeedBrokers(task.MemberBootstrap), kgo.ConsumerGroup(task.MemberGroup), kgo.ConsumeTopics(task.MemberTopic),
		kgo.SessionTimeout(task.MemberSession), kgo.HeartbeatInterval(task.MemberHeartbeat), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(tell("assigned")), kgo.OnPartitionsRevoked(tell("revoked")),
		kgo.OnPartitionsLost(tell("revoked")),
	}
	if task.MemberInstance != "" {
		options = append(options, kgo.InstanceID(task.MemberInstance), kgo.Balancers(kgo.RangeBalancer()))
	}
	client, err := kgo.NewClient(options...)
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
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) { task.TellRecord(r.Partition, r.Offset, r.Value) })
		if fetches.NumRecords() > 0 {
			if err := client.CommitUncommittedOffsets(context.Background()); err != nil {
				task.Print("commit: " + err.Error())
			}
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
}

func tell(word string) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
		task.Tell(word, topics[task.MemberTopic])
	}
}
