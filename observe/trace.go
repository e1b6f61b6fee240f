package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracing is the part of a configuration that says where traces go.
type Tracing struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; empty: no traces.
	Endpoint string `yaml:"endpoint,omitempty"`
	// Ratio is the part of all requests that are traced, from 0 to 1; 0: none.
	Ratio float64 `yaml:"ratio,omitempty"`
}

// Check says what is wrong with it.
func (t *Tracing) Check() error {
	if t == nil {
		return nil
	}
	var errs []error
	if u, err := url.Parse(t.Endpoint); t.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("endpoint: %q is no URL such as http://127.0.0.1:4318", t.Endpoint))
	}
	if !(t.Ratio >= 0 && t.Ratio <= 1) {
		errs = append(errs, fmt.Errorf("ratio: %g is not from 0 to 1", t.Ratio))
	}
	return errors.Join(errs...)
}

// The attributes of spans: all that there are.
const (
	attributeProcedure = attribute.Key("rpc.method")
	attributeRequest   = attribute.Key("concordat.request")
	attributeCode      = attribute.Key("rpc.code")
)

// Tracer makes spans. The zero one makes none.
type Tracer struct{ tracer trace.Tracer }

// NewTracer makes spans for a provider.
func NewTracer(provider trace.TracerProvider) Tracer {
	return Tracer{provider.Tracer("concordat.dev/observe")}
}

// Export gives the provider of a process that sends its spans away in the background, and what ends it. Without an endpoint nothing is sent.
func Export(ctx context.Context, t *Tracing, program, node string) (trace.TracerProvider, func(context.Context) error, error) {
	if t == nil || t.Endpoint == "" || t.Ratio == 0 {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimRight(t.Endpoint, "/")+"/v1/traces"))
	if err != nil {
		return nil, nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(t.Ratio))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", program), attribute.String("service.instance.id", node))))
	return provider, provider.Shutdown, nil
}

func (t Tracer) start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind),
		trace.WithAttributes(attributeProcedure.String(name), attributeRequest.String(Request(ctx))))
}

// Span begins a part of the work of a request; the name is one of the program's own words. The returned function ends it.
func (t Tracer) Span(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := t.start(ctx, name, trace.SpanKindInternal)
	return ctx, func(err error) { end(span, err) }
}

func end(span trace.Span, err error) {
	if err != nil {
		code := connect.CodeOf(err).String()
		span.SetStatus(codes.Error, code) // the message may hold names
		span.SetAttributes(attributeCode.String(code))
	}
	span.End()
}

func (c Calls) incoming(ctx context.Context, procedure string, header http.Header) (context.Context, trace.Span) {
	id := Request(ctx)
	switch {
	case c.Trusted:
		id = carried(header.Get(HeaderRequest))
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	case id == "":
		id = NewRequest()
	}
	return c.Tracer.start(WithRequest(ctx, id), procedure, trace.SpanKindServer)
}

func outgoing(ctx context.Context, header http.Header) {
	if id := Request(ctx); id != "" {
		header.Set(HeaderRequest, id)
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
}

// told gives an error the id of its request, in its metadata, so that whoever asked can name it to the operator.
func told(ctx context.Context, err error) error {
	var e *connect.Error
	if errors.As(err, &e) {
		e.Meta().Set(HeaderRequest, Request(ctx))
	}
	return err
}

// WrapUnary implements connect.Interceptor.
func (c Calls) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		procedure := req.Spec().Procedure
		if req.Spec().IsClient {
			ctx, span := c.Tracer.start(ctx, procedure, trace.SpanKindClient)
			outgoing(ctx, req.Header())
			res, err := next(ctx, req)
			end(span, err)
			return res, err
		}
		ctx, span := c.incoming(ctx, procedure, req.Header())
		res, err := next(ctx, req)
		end(span, err)
		if err != nil {
			return nil, told(ctx, err)
		}
		res.Header().Set(HeaderRequest, Request(ctx))
		return res, nil
	}
}

// WrapStreamingClient implements connect.Interceptor. The span of a stream is that of its server.
func (Calls) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		outgoing(ctx, conn.RequestHeader())
		return conn
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (c Calls) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		ctx, span := c.incoming(ctx, conn.Spec().Procedure, conn.RequestHeader())
		conn.ResponseHeader().Set(HeaderRequest, Request(ctx))
		err := next(ctx, conn)
		end(span, err)
		return told(ctx, err)
	}
}
