//go:build !linux

package mesh

import (
	"errors"
	"syscall"
)

// A local mesh is started, told apart and ended through /proc; the other commands of concordat need no local mesh.
var errPlatform = errors.New("mesh: a local mesh needs Linux")

func attributes(bool) *syscall.SysProcAttr { return nil }

func inspect(int) (started uint64, executable string, ok bool) { return 0, "", false }

func holder(string) string { return "another process" }

func totalMemory() uint64 { return 0 }

func lock(string) (unlock func(), ok bool, err error) { return nil, false, errPlatform }
