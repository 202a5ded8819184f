//go:build !unix

package runtime

import "os"

// fileNumber is not known here. A rotation is not noticed then.
func fileNumber(os.FileInfo) uint64 { return 0 }
