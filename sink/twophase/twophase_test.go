package twophase

import "testing"

func TestHandleLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		h    Handle
		ok   bool
	}{
		{"largest", Handle{Epoch: 1, Owner: "1-a", Opaque: make([]byte, OpaqueMax)}, true},
		{"too large", Handle{Epoch: 1, Owner: "1-a", Opaque: make([]byte, OpaqueMax+1)}, false},
		{"no owner", Handle{Epoch: 1}, false},
	} {
		if err := c.h.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
