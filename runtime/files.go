package runtime

import (
	"kstream/sink/twophase/stagedfile"
	"kstream/source"
)

// Files is the file system of file sources and sinks. Paths are those of the
// pipeline file.
type Files interface {
	source.FileSystem
	// Dir opens a directory and says where it is, also for a process with another
	// working directory. With make a missing one is made, if the one above exists.
	Dir(path string, make bool) (dir Directory, absolute string, err error)
}

// Directory is one directory. Nothing outside of it is reached by a name.
type Directory interface {
	stagedfile.FS
	Close() error
}
