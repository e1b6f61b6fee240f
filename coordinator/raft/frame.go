package raft

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Limits of frames between nodes, in bytes.
const (
	maxHello   = 4096
	maxCommand = 32 << 20
)

// writeFrame writes one byte of kind, the length in 32 bits, and the payload.
func writeFrame(w io.Writer, kind byte, payload []byte) error {
	if len(payload) > maxCommand {
		return fmt.Errorf("frame of %d bytes, at most %d", len(payload), maxCommand)
	}
	b := make([]byte, 5, 5+len(payload))
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(payload))) //nolint:gosec // at most maxCommand
	_, err := w.Write(append(b, payload...))
	return err
}

func readFrame(r io.Reader, limit uint32) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > limit {
		return 0, nil, fmt.Errorf("frame of %d bytes, at most %d", n, limit)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return head[0], payload, err
}
