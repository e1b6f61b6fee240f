package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The paths and forms of C2SP tlog-witness.
const (
	// Path follows the address of a witness.
	Path = "/add-checkpoint"
	// SizeType is the content type of an answer 409: the size in decimal that the witness knows.
	SizeType = "text/x.tlog.size"
	// MaxRequest is the size in bytes of a request that a witness reads. A proof has at most 63 hashes.
	MaxRequest = 64 << 10

	maxProof = 63
)

// ErrRequest says that a request is malformed.
var ErrRequest = errors.New("malformed add-checkpoint request")

// Request asks a witness to cosign a checkpoint that extends the one of size Old, which it cosigned before.
type Request struct {
	Old        int64
	Proof      []tlog.Hash // consistency from Old, RFC 6962 section 2.1.2; empty if Old is 0 or the checkpoint's own size
	Checkpoint []byte      // signed note
}

// Marshal writes the body of the request.
func (r Request) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", r.Old)
	for _, h := range r.Proof {
		fmt.Fprintf(&b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	b.WriteByte('\n')
	b.Write(r.Checkpoint)
	return b.Bytes()
}

// ParseRequest reads what Marshal wrote. Signatures and proof are not verified.
func ParseRequest(body []byte) (Request, error) {
	head, checkpoint, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok || len(body) > MaxRequest {
		return Request{}, fmt.Errorf("%w: no empty line, or more than %d bytes", ErrRequest, MaxRequest)
	}
	lines := strings.Split(string(head), "\n")
	digits, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || old < 0 || strconv.FormatInt(old, 10) != digits {
		return Request{}, fmt.Errorf("%w: the first line is not old and a size", ErrRequest)
	}
	if len(lines)-1 > maxProof {
		return Request{}, fmt.Errorf("%w: a proof of %d hashes", ErrRequest, len(lines)-1)
	}
	r := Request{Old: old, Checkpoint: checkpoint}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return Request{}, fmt.Errorf("%w: a line of the proof is not a hash", ErrRequest)
		}
		r.Proof = append(r.Proof, h)
	}
	if old == 0 && len(r.Proof) > 0 {
		return Request{}, fmt.Errorf("%w: a proof from size 0", ErrRequest)
	}
	return r, nil
}
