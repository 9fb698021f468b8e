package nearest

import "testing"

func TestTo(t *testing.T) {
	known := []string{"node-a", "node-b", "db", "demo/web", "demo/db", "Cluster"}
	for name, want := range map[string]string{
		"node-c": "node-a", "nodea": "node-a", "node_b": "node-b", "NODE-B": "node-b", "demo/wbe": "demo/web", "cluser": "Cluster",
		"x": "", "dbb": "db", "somethingelse": "", "": "",
	} {
		if got := To(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestHint(t *testing.T) {
	many := []string{"m", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	for _, tc := range []struct {
		name  string
		known []string
		want  string
	}{
		{"node-c", []string{"node-b"}, `; did you mean "node-b"?`},
		{"something", []string{"b", "a"}, "; there is a, b"},
		{"something", nil, ""},
		{"something", many, "; there are a, b, c, d, e, f, g, h, i, j, k and 2 more"},
	} {
		if got := Hint(tc.name, tc.known); got != tc.want {
			t.Errorf("%q among %v: %q, want %q", tc.name, tc.known, got, tc.want)
		}
	}
}
