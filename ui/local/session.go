package local

import (
	"context"
	"errors"
	"slices"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/enrol"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
	"concordat.dev/ui/client"
	"connectrpc.com/connect"
)

// maxPayload bounds what Sign signs.
const maxPayload = 4 << 20

// session is the person at this machine.
type session struct{ Config }

var _ concordatv1connect.SessionServiceHandler = session{}

// Get implements SessionService: what the mesh knows of the key, and that it signs here.
func (s session) Get(ctx context.Context, _ *connect.Request[concordatv1.GetSessionRequest]) (*connect.Response[concordatv1.Session], error) {
	out, err := client.Unary(ctx, s.Client, &concordatv1.GetSessionRequest{}, client.Services.Get)
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		out, err = s.stranger(ctx)
	}
	if err != nil {
		return nil, unreached("session", err)
	}
	own := s.Key.Public().String()
	out.Mode, out.Signing, out.SignedIn, out.HostTrust, out.SignIn, out.RpId = "local", "local_key", true, "", nil, ""
	out.Keys = append([]string{own}, slices.DeleteFunc(out.GetKeys(), func(k string) bool { return k == own })...)
	return connect.NewResponse(out), nil
}

// stranger is the session of a key that no manifest and no founder has.
func (s session) stranger(ctx context.Context) (*concordatv1.Session, error) {
	status, err := s.Client.Status(ctx)
	if err != nil {
		return nil, err
	}
	return &concordatv1.Session{
		Simulation: status.GetMode() == "simulation", Ledger: status.GetLedger(),
		Reason: "No collaboration names the key " + s.Key.Public().String() + ": hand your enrolment to whoever drafts the next version of its manifest.",
	}, nil
}

// unreached is why the mesh could not be asked.
func unreached(op string, err error) error {
	if connected := (*connect.Error)(nil); errors.As(err, &connected) {
		return fault.Connect(fault.From(op, err))
	}
	return fault.Connect(fault.New(op, fault.Unavailable, err))
}

// SignOut implements SessionService. The key stays; the pages end with the program.
func (session) SignOut(context.Context, *connect.Request[concordatv1.SignOutRequest]) (*connect.Response[concordatv1.SignOutResponse], error) {
	return connect.NewResponse(&concordatv1.SignOutResponse{}), nil
}

// Sign implements SessionService: it signs statements of three kinds, each only in its own canonical form and for this mesh.
func (s session) Sign(ctx context.Context, req *connect.Request[concordatv1.SignRequest]) (*connect.Response[concordatv1.SignResponse], error) {
	const op = "sign"
	payload := req.Msg.GetPayload()
	if len(payload) > maxPayload {
		return nil, fault.Connect(fault.Newf(op, fault.TooLarge, "%d bytes to sign, at most %d", len(payload), maxPayload))
	}
	var ledger, payloadType string
	var err error
	switch req.Msg.GetKind() {
	case "statement":
		var said statement.Statement
		said, err = statement.Parse(payload)
		ledger, payloadType = said.Ledger, statement.PayloadType
	case "upload":
		var said upload.Statement
		if err = canon.Unmarshal(payload, &said); err == nil {
			err = said.Validate()
		}
		ledger, payloadType = said.Ledger, upload.StatementPayloadType
	case "enrolment":
		var said enrol.Enrolment
		if said, err = enrol.Parse(payload); err == nil && said.Key != s.Key.Public().String() {
			err = enrol.ErrInvalid
		}
		payloadType = enrol.PayloadType
	default:
		err = fault.Newf(op, fault.Invalid, "kind %.40q is not statement, upload or enrolment", req.Msg.GetKind())
	}
	if err != nil {
		return nil, fault.Connect(fault.New(op, fault.Invalid, err))
	}
	if payloadType != enrol.PayloadType {
		status, err := s.Client.Status(ctx)
		if err != nil {
			return nil, unreached(op, err)
		}
		if ledger != status.GetLedger() {
			return nil, fault.Connect(fault.Newf(op, fault.Invalid, "the statement is for ledger %s, this mesh's is %s", ledger, status.GetLedger()))
		}
	}
	envelope := dsse.Sign(payloadType, payload, s.Key)
	raw, err := envelope.Marshal()
	if err != nil {
		return nil, fault.Connect(fault.New(op, fault.Internal, err))
	}
	return connect.NewResponse(&concordatv1.SignResponse{Envelope: raw, Key: s.Key.Public().String()}), nil
}
