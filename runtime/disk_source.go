package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"kstream/source"
)

// Glob implements source.FileSystem.
func (diskFiles) Glob(pattern string) ([]string, error) {
	paths, err := filepath.Glob(pattern)
	slices.Sort(paths)
	return paths, err
}

// Names implements source.FileSystem.
func (diskFiles) Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Stat implements source.FileSystem.
func (diskFiles) Stat(path string) (source.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return source.FileInfo{}, err
	}
	return fileInfo(info), nil
}

// Open implements source.FileSystem.
func (diskFiles) Open(path string) (source.SourceFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errors.New(path+" is not a regular file"), err, f.Close())
	}
	return diskFile{f}, nil
}

type diskFile struct{ *os.File }

// Stat implements source.SourceFile.
func (f diskFile) Stat() (source.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil {
		return source.FileInfo{}, err
	}
	return fileInfo(info), nil
}

func fileInfo(info os.FileInfo) source.FileInfo {
	return source.FileInfo{Size: info.Size(), ID: fileNumber(info), Regular: info.Mode().IsRegular()}
}
