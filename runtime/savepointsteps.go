package runtime

import (
	"io"

	"kstream/savepoint"
)

// steppedDirectory is the directory of a savepoint whose steps are failpoints:
// each file, the manifest, which is the last one, and the final name.
type steppedDirectory struct {
	savepoint.Directory
	fail *failpoints
}

func savepointStep(name string) string {
	if name == savepoint.ManifestName {
		return "savepoint-manifest"
	}
	return "savepoint-file"
}

// Create implements savepoint.Directory.
func (d steppedDirectory) Create(name string) (io.WriteCloser, error) {
	d.fail.before(savepointStep(name))
	f, err := d.Directory.Create(name)
	if err != nil {
		return nil, err
	}
	return steppedFile{f, d.fail, savepointStep(name)}, nil
}

// Commit implements savepoint.Directory.
func (d steppedDirectory) Commit() error {
	d.fail.before("savepoint-named")
	err := d.Directory.Commit()
	if err == nil {
		d.fail.after("savepoint-named")
	}
	return err
}

type steppedFile struct {
	io.WriteCloser
	fail *failpoints
	step string
}

// Close implements io.Closer.
func (f steppedFile) Close() error {
	err := f.WriteCloser.Close()
	if err == nil {
		f.fail.after(f.step)
	}
	return err
}
