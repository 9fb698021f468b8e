package lifecycle_test

import (
	"testing"

	"github.com/quorate/quorate/pkg/lifecycle/lifecycletest"
	"github.com/quorate/quorate/pkg/scenariotest"
)

// TestScenarios runs the scenarios about a group's life on its node.
func TestScenarios(t *testing.T) {
	scenariotest.Run(t, "../../test/scenarios/lifecycle", func(*testing.T) scenariotest.Do { return lifecycletest.New().Do })
}
