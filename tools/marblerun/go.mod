// Builds MarbleRun's own coordinator from its unchanged source, with the dependencies that its own module names and ego v1.7.0:
//
//	go build -trimpath -buildvcs=false -o ../../bin/marblerun-coordinator github.com/edgelesssys/marblerun/cmd/coordinator
//
// Without the build tag "enclave" it runs in simulation. The module has no code and nothing of ours: a change of our dependencies
// must not change what MarbleRun's coordinator measures. It needs a C compiler (ego's enclave package uses cgo).
module concordat.dev/tools/marblerun

go 1.26.0

tool github.com/edgelesssys/marblerun/cmd/coordinator

require (
	github.com/edgelesssys/ego v1.7.0 // indirect
	github.com/edgelesssys/marblerun v1.6.0 // indirect
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-jose/go-jose/v4 v4.0.4 // indirect
	github.com/google/go-cmp v0.6.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus v1.0.1 // indirect
	github.com/grpc-ecosystem/go-grpc-middleware/v2 v2.1.0 // indirect
	github.com/klauspost/compress v1.17.9 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_golang v1.20.5 // indirect
	github.com/prometheus/client_model v0.6.1 // indirect
	github.com/prometheus/common v0.55.0 // indirect
	github.com/prometheus/procfs v0.15.1 // indirect
	github.com/spf13/afero v1.11.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	go.uber.org/zap v1.27.0 // indirect
	golang.org/x/crypto v0.32.0 // indirect
	golang.org/x/net v0.29.0 // indirect
	golang.org/x/sys v0.29.0 // indirect
	golang.org/x/text v0.21.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20240903143218-8af14fe29dc1 // indirect
	google.golang.org/grpc v1.67.1 // indirect
	google.golang.org/protobuf v1.35.1 // indirect
)
