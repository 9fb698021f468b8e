package controllers_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/quorate/quorate/controllers/controllertest"
)

// env is shared by all tests of the package: starting a control plane takes seconds.
var env *controllertest.Environment

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if env, err = controllertest.Start(context.Background(), "../config"); err != nil {
		fmt.Fprintln(os.Stderr, "controllers:", err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}()
	return m.Run()
}
