// Package scenariotest runs the scenarios below test/scenarios: data-driven scripts that say what they are about, which rules they
// guard, and what has to come of each step. Every directory has a driver of its own, which knows the commands.
package scenariotest
