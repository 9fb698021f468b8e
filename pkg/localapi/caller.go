package localapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Caller is the process at the other end, as the kernel tells.
type Caller struct {
	PID int32
	UID uint32
	// Command is the name of the program, which a process can choose: for the log, never for a decision.
	Command string
	// User is the account that logged in, before any sudo; the account of UID where that is not known.
	User string
}

// noLogin is the login uid of a process that no login has started.
const noLogin = "4294967295"

type callerKey struct{}

// withCaller is http.Server's ConnContext: it asks the kernel once for each connection.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	caller, err := callerOf(c)
	if err != nil {
		return ctx // nobody: authorize refuses
	}
	return context.WithValue(ctx, callerKey{}, caller)
}

func callerOf(c net.Conn) (Caller, error) {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return Caller{}, errors.New("not a unix socket")
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return Caller{}, fmt.Errorf("asking who calls: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return Caller{}, fmt.Errorf("asking who calls: %w", err)
	}
	if credErr != nil {
		return Caller{}, fmt.Errorf("asking who calls: %w", credErr)
	}
	return Caller{PID: cred.Pid, UID: cred.Uid, Command: processFile(cred.Pid, "comm"), User: userOf(cred)}, nil
}

// userOf names the person behind the call, as far as the host knows.
func userOf(cred *unix.Ucred) string {
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	if login := processFile(cred.Pid, "loginuid"); login != "" && login != noLogin {
		uid = login
	}
	account, err := user.LookupId(uid)
	if err != nil {
		return "uid " + uid
	}
	return account.Username
}

func processFile(pid int32, name string) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return "" // the process is gone, or hidden
	}
	return strings.TrimSpace(string(raw))
}

// authorize lets root in, and nobody else.
func authorize(ctx context.Context) (Caller, error) {
	caller, known := ctx.Value(callerKey{}).(Caller)
	switch {
	case !known:
		return caller, &Error{Code: CodeForbidden, Message: "the kernel does not tell who calls"}
	case caller.UID != 0:
		return caller, &Error{Code: CodeForbidden, Message: fmt.Sprintf("uid %d may not speak to the agent: only root may", caller.UID)}
	}
	return caller, nil
}
