// Command licences judges what is linked into the programs and what the web pages are made of: each Go module must come under a licence that is
// allowed, as its own files say, and each npm package must be pinned by version and digest, under an allowed licence, without scripts at install.
// It asks no network: modules are read from Go's cache, packages from package-lock.json.
//
// Sees: nothing
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: licences ROOT")
		os.Exit(2)
	}
	problems, checked, err := judge(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
	for _, p := range problems {
		fmt.Println(p)
	}
	fmt.Printf("%d modules and packages, %d problems\n", checked, len(problems))
	if len(problems) > 0 {
		os.Exit(1)
	}
}
