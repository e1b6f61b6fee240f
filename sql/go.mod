module concordat.dev/sql

go 1.26.0
