// Package fault is how calls between parties fail: the operation, the kind and the cause of an error, and the one mapping between
// kinds and Connect codes.
//
// Invariant: the cause of an Internal fault never crosses the wire, only its incident id; every other kind tells its cause.
//
// Sees: metadata
package fault

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
)

// Kind says what a caller can do about a fault.
type Kind string

// The kinds of faults.
const (
	Invalid         Kind = "invalid"         // the request is wrong; repeating it does not help
	Unauthenticated Kind = "unauthenticated" // nobody, or not whom the request claims
	Forbidden       Kind = "forbidden"       // known, and not allowed to do this
	NotFound        Kind = "not_found"       // what the request names does not exist
	Exists          Kind = "exists"          // what the request would make exists already
	Conflict        Kind = "conflict"        // the state does not admit it now; look at the state first
	TooLarge        Kind = "too_large"       // beyond a fixed limit
	Unavailable     Kind = "unavailable"     // try again
	Busy            Kind = "busy"            // has as much work as it takes: try another one, or again later
	Deadline        Kind = "deadline"        // ran out of time; the outcome is unknown
	Cancelled       Kind = "cancelled"       // the caller went away
	Internal        Kind = "internal"        // a fault of ours, told as an incident id
)

// codes is the one mapping, in an order that makes it reversible.
var codes = []struct {
	kind Kind
	code connect.Code
}{
	{Invalid, connect.CodeInvalidArgument},
	{Unauthenticated, connect.CodeUnauthenticated},
	{Forbidden, connect.CodePermissionDenied},
	{NotFound, connect.CodeNotFound},
	{Exists, connect.CodeAlreadyExists},
	{Conflict, connect.CodeFailedPrecondition},
	{TooLarge, connect.CodeResourceExhausted},
	{Unavailable, connect.CodeUnavailable},
	{Busy, connect.CodeAborted},
	{Deadline, connect.CodeDeadlineExceeded},
	{Cancelled, connect.CodeCanceled},
	{Internal, connect.CodeInternal},
}

// Fault is an error with the operation that failed. Incident is set for Internal faults that were logged under it.
type Fault struct {
	Op       string
	Kind     Kind
	Incident string
	Cause    error
}

// New makes a Fault. The cause may be nil.
func New(op string, kind Kind, cause error) *Fault { return &Fault{Op: op, Kind: kind, Cause: cause} }

// Newf makes a Fault whose cause is a formatted message; %w wraps.
func Newf(op string, kind Kind, format string, args ...any) *Fault {
	return New(op, kind, fmt.Errorf(format, args...))
}

func (f *Fault) Error() string {
	switch {
	case f.Cause == nil:
		return fmt.Sprintf("%s: %s", f.Op, f.Kind)
	case f.Op == "":
		return f.Cause.Error()
	default:
		return f.Op + ": " + f.Cause.Error()
	}
}

func (f *Fault) Unwrap() error { return f.Cause }

// KindOf is the kind of the outermost Fault, Connect error or context error in err; Internal for any other error, empty for nil.
func KindOf(err error) Kind {
	var f *Fault
	var c *connect.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Kind
	case errors.As(err, &c):
		return fromCode(c.Code())
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline
	case errors.Is(err, context.Canceled):
		return Cancelled
	default:
		return Internal
	}
}

// Connect is err as it crosses the wire. The text of an Internal fault is constant but for the incident id.
func Connect(err error) *connect.Error {
	if err == nil {
		return nil
	}
	kind := KindOf(err)
	if kind == Internal {
		return connect.NewError(connect.CodeInternal, errors.New(internalText(err)))
	}
	return connect.NewError(toCode(kind), errors.New(text(err)))
}

// From reads an error of a Connect client back as a Fault of the operation op; nil stays nil.
func From(op string, err error) error {
	if err == nil {
		return nil
	}
	var c *connect.Error
	if errors.As(err, &c) {
		return New(op, fromCode(c.Code()), errors.New(c.Message()))
	}
	return New(op, KindOf(err), err)
}

func internalText(err error) string {
	const constant = "internal error"
	var f *Fault
	if errors.As(err, &f) && f.Incident != "" {
		return constant + ", incident " + f.Incident
	}
	return constant
}

func text(err error) string {
	var c *connect.Error
	if errors.As(err, &c) && c.Message() != "" {
		return c.Message()
	}
	return err.Error()
}

func toCode(kind Kind) connect.Code {
	for _, m := range codes {
		if m.kind == kind {
			return m.code
		}
	}
	return connect.CodeInternal
}

func fromCode(code connect.Code) Kind {
	for _, m := range codes {
		if m.code == code {
			return m.kind
		}
	}
	switch code {
	case connect.CodeAborted, connect.CodeOutOfRange:
		return Conflict
	case connect.CodeUnimplemented:
		return Invalid
	default:
		return Internal
	}
}
