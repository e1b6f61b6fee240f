package keyrelease

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	maxAnswer   = 256 << 10
	attempts    = 4
	firstWait   = time.Second
	maxWait     = 30 * time.Second
	callTimeout = 30 * time.Second
)

var (
	errAnswer = errors.New("unusable answer")
	errDenied = errors.New("refused")
)

// request is one call, in a form that can be sent again.
type request struct {
	method, url string
	header      map[string]string
	body        []byte
}

// caller sends requests; wait is how it passes the time between two attempts.
type caller struct {
	web  *http.Client
	wait func(ctx context.Context, d time.Duration) error
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// call sends r until there is an answer that counts, and reads it as JSON. What is refused is not asked again; what is busy or unreachable is.
// Bodies of answers are not told: they may hold tokens.
func (c caller) call(ctx context.Context, r request, into any) error {
	delay := firstWait
	for n := 1; ; n++ {
		body, after, err := c.once(ctx, r)
		if err == nil {
			if err := json.Unmarshal(body, into); err != nil {
				return fmt.Errorf("%s: %w: %w", r.url, errAnswer, err)
			}
			return nil
		}
		if n == attempts || errors.Is(err, errDenied) || errors.Is(err, errAnswer) || ctx.Err() != nil {
			return fmt.Errorf("%s: attempt %d: %w", r.url, n, err)
		}
		if err := c.wait(ctx, min(max(delay, after), maxWait)); err != nil {
			return fmt.Errorf("%s: %w", r.url, err)
		}
		delay *= 2
	}
}

// once sends r one time; after is how long the server asks to wait.
func (c caller) once(ctx context.Context, r request) (body []byte, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errDenied, err)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	res, err := c.web.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	after = time.Duration(min(max(seconds, 0), int(maxWait/time.Second))) * time.Second
	switch {
	case err != nil:
		return nil, after, err
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusRequestTimeout, res.StatusCode >= 500:
		return nil, after, fmt.Errorf("status %d", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return nil, 0, fmt.Errorf("%w: status %d %s", errDenied, res.StatusCode, code(body))
	case len(body) > maxAnswer:
		return nil, 0, fmt.Errorf("%w: more than %d bytes", errAnswer, maxAnswer)
	}
	return body, 0, nil
}

// code is the error code in an answer of Azure, where there is one: a word, never a text.
func code(body []byte) string {
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	var word string
	var nested struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	if json.Unmarshal(answer.Error, &word) != nil && json.Unmarshal(answer.Error, &nested) == nil {
		word = nested.Code
	}
	return fmt.Sprintf("%.60q", word)
}
