package flight

import (
	"context"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The options of sessions that clients set. The server keeps no sessions: an option is taken where it says what is so anyway, and refused elsewhere with
// what to write instead, as an error of the call, since drivers hide what a result says of its options.
const (
	optionCatalog = "catalog"
	optionSchema  = "schema"
)

// SetSessionOptions implements flightsql.Server.
func (s *service) SetSessionOptions(ctx context.Context, r *arrowflight.SetSessionOptionsRequest) (*arrowflight.SetSessionOptionsResult, error) {
	for name, value := range r.GetSessionOptions() {
		switch name {
		case optionCatalog:
			id, err := s.collaboration(ctx)
			if err != nil {
				return nil, err
			}
			if wanted := value.GetStringValue(); wanted != id {
				return nil, status.Errorf(codes.InvalidArgument, "the connection is of the collaboration %q: name %q in its header %s instead of as catalog", id, wanted, HeaderCollaboration)
			}
		case optionSchema:
			return nil, status.Error(codes.InvalidArgument, "there is no current schema: write each dataset's name with its schema, as in clinic.patients")
		default:
			return nil, status.Errorf(codes.InvalidArgument, "there is no session option %q", name)
		}
	}
	return &arrowflight.SetSessionOptionsResult{}, nil
}

// GetSessionOptions implements flightsql.Server: the current catalog is the collaboration that queries are asked of.
func (s *service) GetSessionOptions(ctx context.Context, _ *arrowflight.GetSessionOptionsRequest) (*arrowflight.GetSessionOptionsResult, error) {
	id, err := s.collaboration(ctx)
	if err != nil {
		return nil, err
	}
	options, err := arrowflight.NewSessionOptionValues(map[string]any{optionCatalog: id})
	if err != nil {
		return nil, failure(err)
	}
	return &arrowflight.GetSessionOptionsResult{SessionOptions: options}, nil
}

// CloseSession implements flightsql.Server. Nothing was kept of it.
func (s *service) CloseSession(context.Context, *arrowflight.CloseSessionRequest) (*arrowflight.CloseSessionResult, error) {
	return &arrowflight.CloseSessionResult{Status: arrowflight.CloseSessionResultClosed}, nil
}
