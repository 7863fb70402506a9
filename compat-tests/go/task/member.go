package task

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What a group member is told; the contract is in harness/member.py.
var (
	MemberBootstrap = os.Getenv("MEMBER_BOOTSTRAP")
	MemberTopic     = os.Getenv("MEMBER_TOPIC")
	MemberGroup     = os.Getenv("MEMBER_GROUP")
	MemberInstance  = os.Getenv("MEMBER_INSTANCE")
	MemberSession   = milliseconds("MEMBER_SESSION_MS")
	MemberHeartbeat = milliseconds("MEMBER_HEARTBEAT_MS")
)

var output sync.Mutex

func milliseconds(name string) time.Duration {
	value, _ := strconv.Atoi(os.Getenv(name))
	return time.Duration(value) * time.Millisecond
}

// Tell prints a line with the partitions that a member got or lost.
func Tell(word string, partitions []int32) {
	line := word
	for _, partition := range partitions {
		line += fmt.Sprintf(" %d", partition)
	}
	Print(line)
}

// TellRecord prints a line for a record that a member has read.
func TellRecord(partition int32, offset int64, value []byte) {
	Print(fmt.Sprintf("record %d %d %s", partition, offset, value))
}

// Print writes lines whole, from any goroutine.
func Print(lines ...string) {
	output.Lock()
	defer output.Unlock()
	fmt.Println(strings.Join(lines, "\n"))
}

// Stopped is closed on SIGTERM.
func Stopped() <-chan os.Signal {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	return stop
}
