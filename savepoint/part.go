package savepoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"kstream/codec"
)

const (
	partMagic   = "kstp"
	partFormat  = 1
	frameHeader = 1 + 4 + 4

	frameRaw  = 0
	frameZstd = 1

	frameSize    = 1 << 20  // a frame is closed when it has so many bytes
	maxFrame     = 16 << 20 // no honest frame has more: a key and one piece of a value
	maxExpansion = 100
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errPart = errors.New("the part is damaged")

// partWriter writes the entries of a part.
type partWriter struct {
	w       io.Writer
	z       *codec.Zstd
	frame   []byte
	packed  []byte
	entries int64
}

func newPartWriter(w io.Writer, z *codec.Zstd) (*partWriter, error) {
	_, err := w.Write([]byte{partMagic[0], partMagic[1], partMagic[2], partMagic[3], partFormat})
	return &partWriter{w: w, z: z}, err
}

func (p *partWriter) add(key, value []byte) error {
	p.frame = binary.AppendUvarint(p.frame, uint64(len(key)))
	p.frame = append(p.frame, key...)
	p.frame = binary.AppendUvarint(p.frame, uint64(len(value)))
	p.frame = append(p.frame, value...)
	p.entries++
	if len(p.frame) > maxFrame {
		return fmt.Errorf("an entry of %d bytes is longer than a frame", len(key)+len(value))
	}
	if len(p.frame) >= frameSize {
		return p.flush()
	}
	return nil
}

func (p *partWriter) flush() error {
	if len(p.frame) == 0 {
		return nil
	}
	kind, stored := byte(frameZstd), p.z.Compress(p.packed[:0], p.frame)
	p.packed = stored
	if len(stored) >= len(p.frame) || len(p.frame) >= maxExpansion*len(stored) {
		kind, stored = frameRaw, p.frame
	}
	header := make([]byte, 0, frameHeader)
	header = append(header, kind)
	header = binary.LittleEndian.AppendUint32(header, uint32(len(stored)))
	header = binary.LittleEndian.AppendUint32(header, crc32.Checksum(stored, castagnoli))
	if _, err := p.w.Write(header); err != nil {
		return err
	}
	_, err := p.w.Write(stored)
	p.frame = p.frame[:0]
	return err
}

// readPart calls fn with every entry of a part; key and value are valid during
// the call.
func readPart(r io.Reader, z *codec.Zstd, fn func(key, value []byte) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var head [len(partMagic) + 1]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return fmt.Errorf("%w: its beginning is cut", errPart)
	}
	if string(head[:4]) != partMagic {
		return fmt.Errorf("%w: it does not begin with %q", errPart, partMagic)
	}
	if head[4] != partFormat {
		return fmt.Errorf("%w: format %d", errPart, head[4])
	}
	var stored []byte
	for {
		var header [frameHeader]byte
		switch _, err := io.ReadFull(br, header[:]); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: a frame is cut", errPart)
		}
		var err error
		if stored, err = readFrame(br, header, stored); err != nil {
			return err
		}
		entries, err := unpack(header[0], stored, z)
		if err != nil {
			return err
		}
		if err := eachEntry(entries, fn); err != nil {
			return err
		}
	}
}

// readFrame reads what a header announces and checks it. It grows by what is
// there, not by what is announced.
func readFrame(br *bufio.Reader, header [frameHeader]byte, buf []byte) ([]byte, error) {
	n := int(binary.LittleEndian.Uint32(header[1:]))
	if n > maxFrame {
		return nil, fmt.Errorf("%w: a frame of %d bytes", errPart, n)
	}
	buf = buf[:0]
	for len(buf) < n {
		step := min(n-len(buf), 1<<20)
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(br, buf[len(buf)-step:]); err != nil {
			return nil, fmt.Errorf("%w: a frame is cut", errPart)
		}
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(header[5:]) {
		return nil, fmt.Errorf("%w: the checksum of a frame is wrong", errPart)
	}
	return buf, nil
}

func unpack(kind byte, stored []byte, z *codec.Zstd) ([]byte, error) {
	switch kind {
	case frameRaw:
		return stored, nil
	case frameZstd:
		entries, err := z.Decompress(stored)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errPart, err)
		}
		if len(entries) > maxExpansion*len(stored) {
			return nil, fmt.Errorf("%w: a frame expands more than %d times", errPart, maxExpansion)
		}
		return entries, nil
	}
	return nil, fmt.Errorf("%w: frame of kind %d", errPart, kind)
}

func eachEntry(b []byte, fn func(key, value []byte) error) error {
	for len(b) > 0 {
		key, rest, ok := piece(b)
		if !ok {
			return fmt.Errorf("%w: an entry is cut", errPart)
		}
		value, rest, ok := piece(rest)
		if !ok {
			return fmt.Errorf("%w: an entry is cut", errPart)
		}
		b = rest
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

// piece takes a length and so many bytes off b.
func piece(b []byte) (p, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	return b[w : w+int(n)], b[w+int(n):], true
}
