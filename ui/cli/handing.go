package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"connectrpc.com/connect"
)

// handOver has the old mesh stop. Asked again after it did, it says so.
func (h *handingOver) handOver(ctx context.Context) error {
	raw, err := h.successor.Marshal()
	if err != nil {
		return err
	}
	request := &concordatv1.HandOverRequest{Successor: raw, DrainSeconds: uint32(h.f.drain.Seconds())} //nolint:gosec // a duration of a flag
	h.say("the old mesh ends what is under way, at most %s", h.f.drain)
	done := false
	err = h.old.Do(ctx, func(ctx context.Context, s client.Services) error {
		stream, err := s.HandOver(ctx, connect.NewRequest(request))
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
			done = done || stream.Msg().GetPhase() == "done"
			if stream.Msg().GetPhase() == "drain" {
				h.say("%s queries are under way", stream.Msg().GetDetail())
			}
		}
		return stream.Err()
	})
	if err == nil && !done {
		err = errors.New("the old mesh did not say that it handed over: repeat the command")
	}
	if err != nil {
		return fmt.Errorf("nothing was handed over that was not before: %w", err)
	}
	h.say("the old mesh decides nothing any more; secrets and state are sealed to the new one")
	return nil
}

// carry brings the package from the old mesh to the new one.
func (h *handingOver) carry(ctx context.Context) error {
	var sealed []byte
	err := h.old.Do(ctx, func(ctx context.Context, s client.Services) (err error) {
		sealed, err = exchange(ctx, s, http.MethodGet, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("fetch what is handed over: %w", err)
	}
	if h.to != nil {
		if err := os.WriteFile(filepath.Join(h.to.Home(), packageFile), sealed, 0o600); err != nil {
			return fmt.Errorf("keep what is handed over: %w", err)
		}
	}
	h.say("%d bytes go over, sealed", len(sealed))
	err = h.fresh.Do(ctx, func(ctx context.Context, s client.Services) error {
		_, err := exchange(ctx, s, http.MethodPut, sealed)
		return err
	})
	if err != nil {
		return fmt.Errorf("bring it to the new mesh: %w; repeat the command", err)
	}
	return nil
}

// exchange gets or puts the package.
func exchange(ctx context.Context, s client.Services, method string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.Base+"/handover", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := s.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(response.Body)
	switch {
	case response.StatusCode == http.StatusServiceUnavailable:
		return nil, connect.NewError(connect.CodeUnavailable, errors.New(string(bytes.TrimSpace(said))))
	case err != nil:
		return nil, err
	case response.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(said))
	}
	return said, nil
}

// settled waits until the new mesh serves the ledger.
func (h *handingOver) settled(ctx context.Context) (*concordatv1.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		s, err := h.fresh.Status(ctx)
		if err == nil && s.GetLedger() != "" && len(s.GetLogKey()) > 0 {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("the new mesh does not serve the ledger yet: repeat the command"), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// finish notes the handover in both homes, and ends the old workers, who get no more work. The old coordinators go on to say where the ledger is.
func (h *handingOver) finish(_ context.Context, there *concordatv1.StatusResponse) error {
	if h.from != nil && h.from.State().Ledger != there.GetLedger() {
		return fmt.Errorf("the new mesh has the ledger %s, not %s of %s: it waited for another mesh, or for none", there.GetLedger(), h.from.State().Ledger, h.home)
	}
	pins := client.Running(there)
	if h.to != nil {
		if err := h.to.Inherited(pins); err != nil {
			return err
		}
	}
	if h.from != nil && h.to != nil {
		if err := h.from.HandedOver(h.f.to); err != nil {
			return err
		}
		for _, w := range h.from.State().Workers {
			if err := h.from.Stop(w.Name, syscall.SIGTERM); err != nil {
				h.say("%v", err)
			}
		}
	}
	h.banner(pins.Mode)
	fmt.Fprintln(h.Out, pins.RootCertificate)
	h.say("the ledger %s is at the new mesh. The old coordinators only say so to clients: end them with 'concordat down' once all know, and keep no copy of the old mesh's disks", there.GetLedger())
	return nil
}
