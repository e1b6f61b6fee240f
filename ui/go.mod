module concordat.dev/ui

go 1.26.0

require concordat.dev/protocol v0.0.0

replace concordat.dev/protocol => ../protocol

require concordat.dev/policies v0.0.0

replace concordat.dev/policies => ../policies

require concordat.dev/sql v0.0.0

replace concordat.dev/sql => ../sql
