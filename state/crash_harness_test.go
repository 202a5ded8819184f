//go:build harness

package state

import "testing"

func TestMutantB12IsCaught(t *testing.T) {
	t.Setenv("KSTREAM_MUTANT", "B12")
	compared, _, bad := crashImages(t, 300, 1)
	if bad == nil {
		t.Fatalf("an epoch in two batches was not noticed in %d images", compared)
	}
	t.Logf("caught after %d images: %v", compared, bad)
}
