module concordat.dev/worker

go 1.26.0

require concordat.dev/protocol v0.0.0

replace concordat.dev/protocol => ../protocol

require concordat.dev/sql v0.0.0

replace concordat.dev/sql => ../sql

require concordat.dev/policies v0.0.0

require (
	filippo.io/age v1.3.2 // indirect
	filippo.io/hpke v0.4.0 // indirect
	github.com/apache/arrow-go/v18 v18.8.0 // indirect
	github.com/nyaruka/phonenumbers v1.8.1 // indirect
	gocloud.dev v0.47.0 // indirect
	golang.org/x/crypto v0.56.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace concordat.dev/policies => ../policies
