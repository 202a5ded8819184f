package expr

import (
	"slices"
	"strings"
)

// closest finds the word that was probably meant: Damerau-Levenshtein distance
// at most 2 (1 for words of up to four letters), without regard to case and
// underscores. It gives "" if none is that close.
func closest(word string, words []string) string {
	best, bestDistance := "", 3
	typed := squash(word)
	limit := 2
	if len(typed) <= 4 {
		limit = 1
	}
	for _, w := range words {
		if d := distance(typed, squash(w)); d <= limit && d < bestDistance {
			best, bestDistance = w, d
		}
	}
	return best
}

func didYouMean(word string) string {
	if word == "" {
		return ""
	}
	return "did you mean \"" + word + "\"?"
}

func squash(s string) []rune {
	return []rune(strings.ToLower(strings.ReplaceAll(s, "_", "")))
}

// distance counts insertions, deletions, replacements and swaps of neighbours.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// closestSorted is closest for names that come in no order: equally close ones
// give the same answer every time.
func closestSorted(word string, words []string) string {
	slices.Sort(words)
	return closest(word, words)
}
