package ioctl

import (
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/blockdev"
)

func TestDo(t *testing.T) {
	dead := errors.New("dead path")
	if _, err := Do(t.Context(), blockdev.Node{}, time.Second, dead, func(int) (int, error) { return 1, nil }); !errors.Is(err, dead) {
		t.Errorf("a node that is not there: %v, want %v", err, dead)
	}
	node, err := blockdev.NewNode("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no")
	if n, err := Do(t.Context(), node, time.Second, dead, func(fd int) (int, error) { return fd, failed }); !errors.Is(err, failed) || errors.Is(err, dead) || n <= 0 {
		t.Errorf("Do() = %d, %v", n, err)
	}
}
