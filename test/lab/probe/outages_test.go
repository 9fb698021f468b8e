package probe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/test/lab/protocol"
)

func at(ms int) protocol.Instant {
	return protocol.Instant{Monotonic: time.Duration(ms) * time.Millisecond}
}

// TestFindOutages: times are in milliseconds; each outage is given as {start, end, failed requests, 1 if it ended}.
func TestFindOutages(t *testing.T) {
	cases := map[string]struct {
		answers, failures []int
		now               int
		want              [][4]int
	}{
		"no answer yet is no outage":                {failures: []int{5, 10}, now: 20},
		"steady answers":                            {answers: []int{0, 5, 10, 15}, now: 20},
		"a few missed requests are noise":           {answers: []int{0, 5, 245}, now: 250},
		"a slow stretch without a failure":          {answers: []int{0, 5, 600}, now: 602, want: [][4]int{{5, 600, 0, 1}}},
		"two failures are an outage, however short": {answers: []int{0, 5, 10}, failures: []int{6, 7}, now: 12, want: [][4]int{{5, 10, 2, 1}}},
		"a single request that is lost":             {answers: []int{0, 5, 50, 55}, failures: []int{6}, now: 60},
		"failures belong to the gap in which they began": {
			answers: []int{0, 5, 1200, 1205}, failures: []int{10, 15, 1100}, now: 1210, want: [][4]int{{5, 1200, 3, 1}},
		},
		"two outages": {
			answers: []int{0, 100, 205, 400}, failures: []int{50, 300}, now: 401, want: [][4]int{{0, 100, 1, 1}, {205, 400, 1, 1}},
		},
		"answers in between that do not last": {
			answers: []int{0, 100, 105, 300}, failures: []int{50, 200}, now: 301, want: [][4]int{{0, 300, 2, 1}},
		},
		"an outage that lasts":                          {answers: []int{0, 5}, failures: []int{10}, now: 500, want: [][4]int{{5, 500, 1, 0}}},
		"failures before the first answer do not count": {answers: []int{10, 15}, failures: []int{1, 2}, now: 20},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var answers []answer
			for _, ms := range tc.answers {
				answers = append(answers, answer{at: at(ms)})
			}
			var failures []failure
			for _, ms := range tc.failures {
				failures = append(failures, failure{begun: at(ms), err: "timeout"})
			}
			var got [][4]int
			for _, o := range findOutages(answers, failures, at(tc.now)) {
				ended := 0
				if o.Ended {
					ended = 1
				}
				if o.Length != o.End.Monotonic-o.Start.Monotonic || o.Errors["timeout"] != o.Failed {
					t.Errorf("%+v contradicts itself", o)
				}
				got = append(got, [4]int{int(o.Start.Monotonic.Milliseconds()), int(o.End.Monotonic.Milliseconds()), o.Failed, ended})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
