package inventory

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

func version(v string) *v1alpha1.ResourceGroup {
	return &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{UID: "u", Name: "shop", ResourceVersion: v}}
}

func TestRecent(t *testing.T) {
	cases := map[string]struct {
		writes [][2]string // before, after
		forget bool
		cached string
		want   string
	}{
		"nothing written":                    {cached: "1", want: "1"},
		"cache shows what was replaced":      {writes: [][2]string{{"1", "2"}}, cached: "1", want: "2"},
		"cache shows what was written":       {writes: [][2]string{{"1", "2"}}, cached: "2", want: "2"},
		"cache is ahead":                     {writes: [][2]string{{"1", "2"}}, cached: "5", want: "5"},
		"two writes, cache shows the first":  {writes: [][2]string{{"1", "2"}, {"2", "3"}}, cached: "1", want: "3"},
		"two writes, cache shows the middle": {writes: [][2]string{{"1", "2"}, {"2", "3"}}, cached: "2", want: "3"},
		"another wrote between":              {writes: [][2]string{{"1", "2"}, {"4", "5"}}, cached: "1", want: "1"},
		"an API server that was restored":    {writes: [][2]string{{"71", "72"}}, cached: "9", want: "9"},
		"forgotten after a conflict":         {writes: [][2]string{{"1", "2"}}, forget: true, cached: "1", want: "1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var r Recent[*v1alpha1.ResourceGroup]
			for _, w := range tc.writes {
				r.Wrote(w[0], version(w[1]))
			}
			if tc.forget {
				r.Forget("u")
			}
			if got := r.Newest(version(tc.cached)).ResourceVersion; got != tc.want {
				t.Errorf("got version %s, want %s", got, tc.want)
			}
		})
	}
}
