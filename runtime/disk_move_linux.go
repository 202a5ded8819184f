package runtime

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames within a directory, in one step and never over another
// file. What a file system cannot do is errors.ErrUnsupported.
func renameNoReplace(dir *os.File, from, to string) error {
	fd := int(dir.Fd())
	err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
