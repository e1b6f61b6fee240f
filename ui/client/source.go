package client

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// source is the files of one upload, open.
type source struct {
	files []sourceFile
	open  []*os.File
	size  int64
}

// sourceFile tells whether a file is still the one that was begun.
type sourceFile struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

func (u *Upload) open() (*source, error) {
	s := &source{}
	for _, name := range append([]string{u.File}, u.More...) {
		if err := s.add(name); err != nil {
			s.close()
			return nil, fmt.Errorf("open the data: %w", err)
		}
	}
	return s, nil
}

func (s *source) add(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	s.open = append(s.open, f)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fmt.Errorf("%s is empty", name)
	}
	path, err := filepath.Abs(name)
	if err != nil {
		path = name
	}
	s.files = append(s.files, sourceFile{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()})
	s.size += info.Size()
	return nil
}

func (s *source) close() {
	for _, f := range s.open {
		_ = f.Close() // only read
	}
}

// counts says how many parts of at most size bytes each file has.
func (s *source) counts(size int64) []int {
	var out []int
	for _, f := range s.files {
		out = append(out, int((f.Size+size-1)/size))
	}
	return out
}

// sections cuts the files into parts of at most size bytes.
func (s *source) sections(size int64) []*io.SectionReader {
	var out []*io.SectionReader
	for i, f := range s.files {
		for from := int64(0); from < f.Size; from += size {
			out = append(out, io.NewSectionReader(s.open[i], from, min(size, f.Size-from)))
		}
	}
	return out
}
