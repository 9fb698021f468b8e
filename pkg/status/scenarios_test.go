package status_test

import (
	"testing"

	"github.com/quorate/quorate/pkg/scenariotest"
	"github.com/quorate/quorate/pkg/status/statustest"
)

// TestScenarios runs the scenarios about nodes: their states, and their quarantine.
func TestScenarios(t *testing.T) {
	scenariotest.Run(t, "../../test/scenarios/nodes", func(*testing.T) scenariotest.Do { return statustest.New().Do })
}
