//go:build !linux

package runtime

import (
	"errors"
	"os"
)

// renameNoReplace is not there: a link and a removal do the same in two steps.
func renameNoReplace(*os.File, string, string) error { return errors.ErrUnsupported }
