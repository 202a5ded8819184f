package expr

import (
	"strings"
	"testing"
)

// TestShortTextsNeverPanic goes through every text of up to three of the tokens
// people mistype, with the words of other languages that earn a hint: the hints
// look around the token at fault, where there may be nothing.
func TestShortTextsNeverPanic(t *testing.T) {
	tokens := strings.Fields(`a ] ) } ( [ { 1 . ?. .. | , let # - -> => == = <> & if else not ; ? : $ "x" :: between case when is like div contains count any f`)
	s := parseScope(t, "a: int = 1\nx: any")
	checked := 0
	var extend func(prefix []string, left int)
	extend = func(prefix []string, left int) {
		if len(prefix) > 0 {
			text := strings.Join(prefix, " ")
			func() {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("%q: panic: %v", text, r)
					}
				}()
				if tree, _ := Parse(text); tree != nil {
					Compile(tree, s, Want{})
				}
			}()
			checked++
		}
		if left == 0 {
			return
		}
		for _, token := range tokens {
			extend(append(prefix, token), left-1)
		}
	}
	extend(nil, 3)
	if n := len(tokens); checked != n+n*n+n*n*n {
		t.Errorf("checked %d texts of %d tokens", checked, n)
	}
}
