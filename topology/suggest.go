package topology

import "strings"

// aliases are words of other systems, and old habits, with the word of this
// language. Did-you-mean uses an alias only where its target is valid.
func alias(word string) []string {
	switch squash(word) {
	case "groupby", "keyby", "partitionby":
		return []string{"key_by"}
	case "hopping", "hop", "slide":
		return []string{"sliding"}
	case "tumble", "fixed":
		return []string{"tumbling"}
	case "where", "having":
		return []string{"filter"}
	case "select":
		return []string{"map", "project"}
	case "transform", "apply", "each":
		return []string{"map"}
	case "flatten", "explode", "unnest":
		return []string{"flat_map"}
	case "branch", "route":
		return []string{"split"}
	case "dlq", "deadletterqueue", "deadletters":
		return []string{"dead_letter"}
	case "distinct", "deduplicate":
		return []string{"dedup"}
	case "aggregations", "agg", "count":
		return []string{"aggregate"}
	case "remove", "delete":
		return []string{"drop"}
	case "assign", "withcolumn", "addfields":
		return []string{"set"}
	case "union", "input", "inputs":
		return []string{"from", "sources", "source"}
	case "output", "outputs", "to":
		return []string{"sinks", "sink"}
	case "bootstrapservers", "servers":
		return []string{"brokers"}
	case "maxoutoforderness", "outoforderness":
		return []string{"bounded"}
	case "timestamp", "eventtime":
		return []string{"event_time", "timestamp"}
	case "lateness", "grace", "graceperiod":
		return []string{"allowed_lateness"}
	case "id":
		return []string{"uid", "name"}
	case "serde", "deserializer", "serializer", "encoding":
		return []string{"format"}
	case "offset", "offsets", "autooffsetreset":
		return []string{"start", "offsets", "offset"}
	case "groupid", "consumergroup":
		return []string{"group"}
	case "print", "console":
		return []string{"stdout"}
	case "null", "devnull":
		return []string{"blackhole"}
	}
	return nil
}

// suggest finds the word the writer may have meant among those valid at this
// place, or "".
func suggest(word string, valid []string) string {
	best, bestDistance := "", 3
	typed := squash(word)
	for _, v := range valid {
		limit := 2
		if len([]rune(typed)) <= 4 {
			limit = 1
		}
		if d := distance(typed, squash(v), limit); d <= limit && d < bestDistance {
			best, bestDistance = v, d
		}
	}
	if best != "" {
		return best
	}
	for _, target := range alias(word) {
		for _, v := range valid {
			if v == target {
				return v
			}
		}
	}
	return ""
}

// suggestName is suggest as a hint.
func suggestName(word string, valid []string) string {
	if s := suggest(word, valid); s != "" {
		return "did you mean " + quote(s) + "?"
	}
	return ""
}

func squash(s string) string {
	if len(s) > quotedRunesMax {
		return s // too long to be a slip of the finger
	}
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// distance is the Damerau–Levenshtein distance in the form where a swapped pair
// counts one and no piece is edited twice; more than limit is limit+1.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > limit || len(y)-len(x) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// Nearest is the word among valid that may have been meant, "" if there is none.
func Nearest(word string, valid []string) string { return suggest(word, valid) }
