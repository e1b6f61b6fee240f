package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
)

// Keys there are none: identifiers are tokens that no query shows.

// GetFlightInfoPrimaryKeys implements flightsql.Server.
func (s *service) GetFlightInfoPrimaryKeys(_ context.Context, _ flightsql.TableRef, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.PrimaryKeys), nil
}

// DoGetPrimaryKeys implements flightsql.Server.
func (s *service) DoGetPrimaryKeys(context.Context, flightsql.TableRef) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	return stream(schema_ref.PrimaryKeys, nil)
}

// GetFlightInfoExportedKeys implements flightsql.Server.
func (s *service) GetFlightInfoExportedKeys(_ context.Context, _ flightsql.TableRef, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.ExportedKeys), nil
}

// DoGetExportedKeys implements flightsql.Server.
func (s *service) DoGetExportedKeys(context.Context, flightsql.TableRef) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	return stream(schema_ref.ExportedKeys, nil)
}

// GetFlightInfoImportedKeys implements flightsql.Server.
func (s *service) GetFlightInfoImportedKeys(_ context.Context, _ flightsql.TableRef, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.ImportedKeys), nil
}

// DoGetImportedKeys implements flightsql.Server.
func (s *service) DoGetImportedKeys(context.Context, flightsql.TableRef) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	return stream(schema_ref.ImportedKeys, nil)
}

// GetFlightInfoCrossReference implements flightsql.Server.
func (s *service) GetFlightInfoCrossReference(_ context.Context, _ flightsql.CrossTableRef, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.CrossReference), nil
}

// DoGetCrossReference implements flightsql.Server.
func (s *service) DoGetCrossReference(context.Context, flightsql.CrossTableRef) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	return stream(schema_ref.CrossReference, nil)
}
