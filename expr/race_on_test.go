//go:build race

package expr

// raceDetector: a sync.Pool, which regular expressions use, forgets at random
// under it, so that allocations prove nothing.
const raceDetector = true
