package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/coordinator/log"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/witness"
)

// errOutdated says that a witness cosigned a larger log meanwhile, which this node has too: the next round asks about that.
var errOutdated = errors.New("the witness is ahead of this checkpoint")

// tries is how often one witness is asked in one round, when it knows another size than was thought.
const tries = 3

// ask has one witness cosign a checkpoint of all of tree, and returns the line of its signature, verified.
func (c *Collector) ask(ctx context.Context, vkey string, tree *log.Tree, signed []byte) (string, error) {
	for range tries {
		url, old := c.known(vkey)
		if old > tree.Size() {
			return "", c.ahead(ctx, vkey, old)
		}
		status, body, err := c.post(ctx, url, tree, old, signed)
		if err != nil {
			return "", err
		}
		switch status {
		case http.StatusOK:
			line, err := cosignature(vkey, signed, body)
			if err == nil {
				c.learn(vkey, tree.Size())
			}
			return line, err
		case http.StatusConflict:
			size, err := strconv.ParseInt(strings.TrimSpace(string(body)), 10, 64)
			if err != nil || size < 0 {
				return "", fmt.Errorf("the witness answers 409 without a size: %.80q", body)
			}
			if size == old {
				return "", fmt.Errorf("%w: the witness knows another root of size %d", checkpoint.ErrForked, size)
			}
			c.learn(vkey, size)
		case http.StatusUnprocessableEntity:
			return "", fmt.Errorf("%w: the witness finds no consistency from size %d to %d", checkpoint.ErrForked, old, tree.Size())
		case http.StatusNotFound, http.StatusForbidden:
			return "", fmt.Errorf("the witness does not know this log (HTTP %d): its operator has to add the log's verifier key", status)
		default:
			return "", fmt.Errorf("the witness answers HTTP %d: %.200q", status, body)
		}
	}
	return "", errOutdated
}

// ahead finds out why a witness saw more than this node's tree held: the node lags, or the log was rolled back.
func (c *Collector) ahead(ctx context.Context, vkey string, size int64) error {
	if err := c.Replica.Sync(ctx); err != nil {
		return fmt.Errorf("a witness saw a log of %d entries, and whether it is so could not be found out: %w", size, err)
	}
	if have := c.State.Tree().Size(); size > have {
		c.learn(vkey, 0) // a witness that is set up anew says so
		return fmt.Errorf("%w: the witness cosigned %d entries, this ledger has %d", checkpoint.ErrRolledBack, size, have)
	}
	return errOutdated
}

func (c *Collector) post(ctx context.Context, url string, tree *log.Tree, old int64, signed []byte) (int, []byte, error) {
	r := witness.Request{Old: old, Checkpoint: signed}
	proof, err := tree.Consistency(tree.Size(), old)
	if err != nil {
		return 0, nil, err
	}
	for _, h := range proof {
		r.Proof = append(r.Proof, tlog.Hash(h))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+witness.Path, bytes.NewReader(r.Marshal()))
	if err != nil {
		return 0, nil, err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, witness.MaxRequest))
	return res.StatusCode, body, errors.Join(err, res.Body.Close())
}

// cosignature picks the one line that is expected out of an answer.
func cosignature(vkey string, signed, body []byte) (string, error) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	text += "\n"
	for line := range strings.Lines(string(body)) {
		by, err := checkpoint.Cosignatures(text+"\n"+line, text, []string{vkey})
		if err == nil && len(by) == 1 {
			return line, nil
		}
	}
	return "", errors.New("the witness answers without a cosignature that its key verifies")
}
