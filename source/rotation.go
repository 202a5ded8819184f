package source

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rotatedSuffix is what rotation puts behind a name: a counter, or a date.
var rotatedSuffix = regexp.MustCompile(`^[.-][0-9][0-9TZ:._-]*$`)

// counterDigits is up to how many digits a number is a counter: the file with the
// higher one is older. What is longer is a date.
const counterDigits = 3

// RotatedName says whether name is one that rotation gives to earlier files of
// base: base.1, base-20260101.
func RotatedName(base, name string) bool {
	suffix, ok := strings.CutPrefix(name, base)
	return ok && rotatedSuffix.MatchString(suffix)
}

// orderRotated gives the names that rotation gave to files of base, oldest first:
// those with a date in its order, then those with a counter, downwards.
func orderRotated(base string, names []string) []string {
	var all []string
	for _, n := range names {
		if RotatedName(base, n) {
			all = append(all, n)
		}
	}
	counter := func(n string) int {
		suffix := n[len(base)+1:]
		if len(suffix) > counterDigits {
			return -1
		}
		c, err := strconv.Atoi(suffix)
		if err != nil {
			return -1
		}
		return c
	}
	slices.SortFunc(all, func(a, b string) int {
		ca, cb := counter(a), counter(b)
		switch {
		case ca < 0 && cb < 0:
			return strings.Compare(a, b)
		case ca < 0:
			return -1
		case cb < 0:
			return 1
		}
		return cb - ca
	})
	return all
}
