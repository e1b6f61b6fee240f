module concordat.dev/tools/licences

go 1.26.0
