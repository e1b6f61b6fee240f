package fault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/fault"
)

func TestKindsSurviveTheWire(t *testing.T) {
	kinds := []fault.Kind{
		fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Exists, fault.Conflict,
		fault.TooLarge, fault.Unavailable, fault.Deadline, fault.Cancelled, fault.Internal,
	}
	seen := map[connect.Code]fault.Kind{}
	for _, kind := range kinds {
		sent := fault.Connect(fmt.Errorf("outer: %w", fault.Newf("budget", kind, "dataset %q", "x")))
		if other, ok := seen[sent.Code()]; ok {
			t.Errorf("%s and %s share code %v", kind, other, sent.Code())
		}
		seen[sent.Code()] = kind
		if got := fault.KindOf(fault.From("read", sent)); got != kind {
			t.Errorf("%s came back as %s", kind, got)
		}
	}
}

func TestInternalCauseStaysHome(t *testing.T) {
	secret := errors.New("row 17 holds 4711")
	f := fault.New("execute", fault.Internal, secret)
	f.Incident = "i-1"
	for _, err := range []error{f, secret, fmt.Errorf("x: %w", f)} {
		sent := fault.Connect(err)
		if strings.Contains(sent.Message(), "4711") {
			t.Errorf("the cause of %v leaks: %q", err, sent.Message())
		}
	}
	if got := fault.Connect(f).Message(); got != "internal error, incident i-1" {
		t.Errorf("message %q", got)
	}
	if got := fault.Connect(fault.New("query", fault.Invalid, errors.New("no sql"))).Message(); got != "query: no sql" {
		t.Errorf("message %q", got)
	}
}

func TestContextErrors(t *testing.T) {
	if got := fault.KindOf(fmt.Errorf("x: %w", context.DeadlineExceeded)); got != fault.Deadline {
		t.Errorf("deadline is %s", got)
	}
	if got := fault.KindOf(fmt.Errorf("x: %w", context.Canceled)); got != fault.Cancelled {
		t.Errorf("cancel is %s", got)
	}
	if fault.From("x", nil) != nil || fault.Connect(nil) != nil || fault.KindOf(nil) != "" {
		t.Error("nil is not an error")
	}
}
