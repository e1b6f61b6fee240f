module concordat.dev/integration

go 1.26.0

require concordat.dev/protocol v0.0.0

replace concordat.dev/protocol => ../protocol

replace concordat.dev/sql => ../sql

require concordat.dev/policies v0.0.0

replace concordat.dev/policies => ../policies

replace concordat.dev/worker => ../worker

replace concordat.dev/coordinator => ../coordinator

require (
	concordat.dev/ui v0.0.0
	connectrpc.com/connect v1.21.1
	golang.org/x/mod v0.42.0
)

require (
	filippo.io/age v1.3.2 // indirect
	filippo.io/edwards25519 v1.2.0 // indirect
	filippo.io/hpke v0.4.0 // indirect
	github.com/goccy/go-yaml v1.19.2 // indirect
	github.com/gowebpki/jcs v1.0.2 // indirect
	github.com/secure-systems-lab/go-securesystemslib v0.11.1 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace concordat.dev/ui => ../ui
