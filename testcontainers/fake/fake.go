// Package fake holds the settings every fake broker of the tests runs with, in
// process or as its own.
package fake

import (
	"strconv"
	"time"
)

// Configs are the broker settings. Compaction is off: the fake counts undecided
// records as the newest, and moves the log start, neither of which a real
// broker does.
func Configs() map[string]string {
	return map[string]string{
		"log.cleaner.backoff.ms":               strconv.FormatInt((10 * 365 * 24 * time.Hour).Milliseconds(), 10),
		"group.consumer.heartbeat.interval.ms": "100",
	}
}
