// Package task is what the Go clients share: the task from the environment, the comparison, the reports.
package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"time"
)

// The task, as the runner gives it.
var (
	Bootstrap       = os.Getenv("COMPAT_BOOTSTRAP")
	StrictBootstrap = os.Getenv("COMPAT_STRICT_BOOTSTRAP")
	Prefix          = os.Getenv("COMPAT_PREFIX")
	Codecs          = []string{"none", "gzip", "snappy", "lz4", "zstd"}
)

// ErrSkip marks an error as the reason of a skip.
var ErrSkip = errors.New("skip")

// Header is a record header; a nil Value is null.
type Header struct {
	Name  string
	Value []byte
}

// Record is a record as produced or as read; nil is null.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Timestamp  int64
	Offset     int64
}

// Case is a named check.
type Case struct {
	Name string
	Body func() error
}

// RoundTrips makes a case of each codec: records go in with it and come out.
func RoundTrips(roundTrip func(codec string) error) []Case {
	var cases []Case
	for _, codec := range Codecs {
		cases = append(cases, Case{"round-trip-" + codec, func() error { return roundTrip(codec) }})
	}
	return cases
}

// Fixture reads the records that every client writes and reads.
func Fixture() []Record {
	text, err := os.ReadFile(os.Getenv("COMPAT_RECORDS"))
	if err != nil {
		panic(err)
	}
	var rows []struct {
		Key, Value *[]byte
		Headers    [][2]*json.RawMessage
		Timestamp  int64
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		panic(err)
	}
	records := make([]Record, len(rows))
	for i, row := range rows {
		records[i] = Record{Key: bytesOf(row.Key), Value: bytesOf(row.Value), Timestamp: row.Timestamp}
		for _, pair := range row.Headers {
			var name string
			var value *[]byte
			must(json.Unmarshal(*pair[0], &name))
			if pair[1] != nil {
				must(json.Unmarshal(*pair[1], &value))
			}
			records[i].Headers = append(records[i].Headers, Header{name, bytesOf(value)})
		}
	}
	return records
}

func bytesOf(value *[]byte) []byte {
	if value == nil {
		return nil
	}
	return append([]byte{}, *value...)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Incompressible returns bytes that no codec makes smaller.
func Incompressible(size int) []byte {
	data := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(data)
	return data
}

// Numbered returns count small records that differ.
func Numbered(count int, timestamp int64) []Record {
	records := make([]Record, count)
	for i := range records {
		records[i] = Record{Value: fmt.Appendf(nil, "%d", i), Timestamp: timestamp}
	}
	return records
}

// Compare demands the same records at offsets first, first+1 ...
func Compare(found, expected []Record, first int64) error {
	if len(found) != len(expected) {
		return fmt.Errorf("%d records read, %d written", len(found), len(expected))
	}
	for i := range found {
		got, want := found[i], expected[i]
		switch {
		case got.Offset != first+int64(i):
			return fmt.Errorf("offset %d where %d was expected", got.Offset, first+int64(i))
		case !same(got.Key, want.Key), !same(got.Value, want.Value):
			return fmt.Errorf("record %d has another key or value", i)
		case got.Timestamp != want.Timestamp:
			return fmt.Errorf("record %d: timestamp %d, written %d", i, got.Timestamp, want.Timestamp)
		case len(got.Headers) != len(want.Headers):
			return fmt.Errorf("record %d: %d headers, written %d", i, len(got.Headers), len(want.Headers))
		}
		for j := range got.Headers {
			if got.Headers[j].Name != want.Headers[j].Name || !same(got.Headers[j].Value, want.Headers[j].Value) {
				return fmt.Errorf("record %d: header %d differs", i, j)
			}
		}
	}
	return nil
}

func same(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

// CheckOffsetsByTimestamp demands the first record at or after each time; -1 means none.
func CheckOffsetsByTimestamp(records []Record, offsetAt func(int64) (int64, error)) error {
	last := len(records) - 2
	for _, index := range []int{0, 2, 100, last} {
		later := int64(index + 2)
		if index == last {
			later = -1
		}
		for _, ask := range []struct{ at, want int64 }{
			{records[index].Timestamp, int64(index)}, {records[index].Timestamp + 1, later}, {0, 0},
		} {
			got, err := offsetAt(ask.at)
			if err != nil || got != ask.want {
				return fmt.Errorf("at %d: offset %d (%v), expected %d", ask.at, got, err, ask.want)
			}
		}
	}
	return nil
}

// ExpectError demands that err is the wanted error.
func ExpectError(err, wanted error) error {
	if errors.Is(err, wanted) {
		return nil
	}
	return fmt.Errorf("got %v, expected %v", err, wanted)
}

// CheckConfigs demands that retention.ms is what the topic was created with (an hour), and that a change shows. A
// broker may hear of either a moment after it was answered, as Apache Kafka's do.
func CheckConfigs(current func() (string, error), alter func(string) error) error {
	become := func(wanted string) error {
		value, err := current()
		for deadline := time.Now().Add(10 * time.Second); value != wanted && time.Now().Before(deadline); value, err = current() {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil || value != wanted {
			return fmt.Errorf("retention.ms is %q (%v), expected %s", value, err, wanted)
		}
		return nil
	}
	if err := become("3600000"); err != nil {
		return err
	}
	if err := alter("7200000"); err != nil {
		return err
	}
	return become("7200000")
}

// Strict is the broker that does not create topics, or a skip.
func Strict() (string, error) {
	if StrictBootstrap == "" {
		return "", fmt.Errorf("%w: needs a second broker with auto.create.topics.enable=false", ErrSkip)
	}
	return StrictBootstrap, nil
}

// Run runs the cases and prints a report line for each.
func Run(cases []Case) {
	for _, one := range cases {
		report := map[string]string{"case": one.Name, "outcome": "passed"}
		if err := guarded(one.Body); errors.Is(err, ErrSkip) {
			report["outcome"], report["reason"] = "skipped", err.Error()
		} else if err != nil {
			report["outcome"], report["reason"] = "failed", err.Error()
		}
		line, _ := json.Marshal(report)
		fmt.Println(string(line))
	}
}

func guarded(body func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("panic: %v", caught)
		}
	}()
	return body()
}
