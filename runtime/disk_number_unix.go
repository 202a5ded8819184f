//go:build unix

package runtime

import (
	"os"
	"syscall"
)

// fileNumber is the number of the file in its file system.
func fileNumber(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
