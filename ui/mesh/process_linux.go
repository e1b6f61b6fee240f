package mesh

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// attributes give an attached process our death as its own; a detached one leaves our terminal and stays. Both have a process
// group of their own, so that Ctrl-C reaches only us and the end is in order.
func attributes(attached bool) *syscall.SysProcAttr {
	if attached {
		return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	}
	return &syscall.SysProcAttr{Setsid: true}
}

// inspect tells when a process started and from which file. A zombie is no process, unless threads of it still hold its sockets.
func inspect(pid int) (started uint64, executable string, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	raw, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, "", false
	}
	// The name in parentheses may hold anything; fields count from 3 after it. Field 3 is the state, 20 num_threads, 22 starttime.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'X' {
		return 0, "", false
	}
	if threads, err := strconv.Atoi(string(fields[17])); err != nil || fields[0][0] == 'Z' && threads <= 1 {
		return 0, "", false
	}
	started, err = strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, "", false
	}
	executable, _ = os.Readlink(dir + "/exe")
	return started, executable, true
}

// holder names the process that listens on an address, as far as we may see it.
func holder(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "another process"
	}
	n, _ := strconv.Atoi(port)
	for _, inode := range listening(n) {
		links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
				pid := strings.Split(link, "/")[2]
				name, _ := os.ReadFile("/proc/" + pid + "/comm")
				return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
			}
		}
	}
	return "another process"
}

// listening gives the inodes of sockets that listen on a TCP port (proc(5), net/tcp: local address, state 0A, inode).
func listening(port int) []string {
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := os.ReadFile(table) //nolint:gosec // G304: one of two constants
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes = append(inodes, f[9])
			}
		}
	}
	return inodes
}

// totalMemory is the machine's, in bytes; 0 when unknown.
func totalMemory() uint64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return info.Totalram * uint64(info.Unit)
}

// lock takes the folder for this process; false when another has it.
func lock(path string) (unlock func(), ok bool, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: below home
	if err != nil {
		return nil, false, fmt.Errorf("mesh: lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, false, nil
	}
	return func() { _ = f.Close() }, true, nil
}
