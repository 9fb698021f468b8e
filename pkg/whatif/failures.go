package whatif

import "strings"

// Failures lets every node that is up fail, each on its own from the world as it is, and every pair of them at the same moment. The
// world itself is not changed. Each case is a step of its own.
func (w *World) Failures(single, double bool) ([]Step, error) {
	var cases [][]string
	for _, h := range w.hosts {
		if h.up && single {
			cases = append(cases, []string{h.name})
		}
	}
	for i, a := range w.hosts {
		for _, b := range w.hosts[i+1:] {
			if a.up && b.up && double {
				cases = append(cases, []string{a.name, b.name})
			}
		}
	}
	steps := make([]Step, 0, len(cases))
	for _, nodes := range cases {
		step, err := w.Clone().Do(Event{Text: string(NodeDown) + "=" + strings.Join(nodes, ","), Kind: NodeDown, Nodes: nodes})
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}
