package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// verdict is what the rows that were found say of those that were acknowledged.
type verdict struct {
	// Checked rows were acknowledged, and are looked for.
	Checked int
	// Lost were acknowledged and are not there; Twice are there more than once; Strange were never sent.
	Lost, Twice, Strange []int64
	// Others are there too: acknowledged since, or their answer was lost, not the row.
	Others int
}

// judge compares what was acknowledged with what is there. last is the highest number that was sent.
func judge(acked, found []int64, last int64) verdict {
	v := verdict{Checked: len(acked)}
	there := make(map[int64]int, len(found))
	for _, n := range found {
		there[n]++
		switch there[n] {
		case 1:
			if n < 1 || n > last {
				v.Strange = append(v.Strange, n)
			}
		case 2:
			v.Twice = append(v.Twice, n)
		}
	}
	for _, n := range acked {
		if there[n] == 0 {
			v.Lost = append(v.Lost, n)
		}
	}
	v.Others = len(there) + len(v.Lost) - len(acked) - len(v.Strange)
	for _, list := range [][]int64{v.Lost, v.Twice, v.Strange} {
		slices.Sort(list)
	}
	return v
}

// sound says that nothing is lost and nothing is there twice.
func (v verdict) sound() bool { return len(v.Lost)+len(v.Twice)+len(v.Strange) == 0 }

func (v verdict) String() string {
	return fmt.Sprintf("%d acknowledged rows checked: %d lost%s, %d twice%s, %d never sent%s; %d more are there, answered since or with their answer lost",
		v.Checked, len(v.Lost), some(v.Lost), len(v.Twice), some(v.Twice), len(v.Strange), some(v.Strange), v.Others)
}

// some shows the first numbers of a list.
func some(list []int64) string {
	const most = 10
	if len(list) == 0 {
		return ""
	}
	if len(list) > most {
		return fmt.Sprintf(" (%v and more)", list[:most])
	}
	return fmt.Sprintf(" (%v)", list)
}

// TestJudge: what judges the rows sees each thing that may be wrong with them.
func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		acked, found []int64
		want         verdict
	}{
		"all there":          {[]int64{1, 2, 3}, []int64{3, 2, 1}, verdict{Checked: 3}},
		"an answer was lost": {[]int64{1, 3}, []int64{1, 2, 3}, verdict{Checked: 2, Others: 1}},
		"lost":               {[]int64{3, 1, 2}, []int64{2}, verdict{Checked: 3, Lost: []int64{1, 3}}},
		"twice":              {[]int64{1, 2}, []int64{1, 2, 2, 2}, verdict{Checked: 2, Twice: []int64{2}}},
		"never sent":         {[]int64{1}, []int64{1, 9}, verdict{Checked: 1, Strange: []int64{9}}},
		"all of it": {
			[]int64{1, 2, 3}, []int64{2, 4, 4, 7, 2},
			verdict{Checked: 3, Lost: []int64{1, 3}, Twice: []int64{2, 4}, Strange: []int64{7}, Others: 1},
		},
		"nothing": {nil, nil, verdict{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge(tc.acked, tc.found, 5)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.sound() != (len(tc.want.Lost)+len(tc.want.Twice)+len(tc.want.Strange) == 0) {
				t.Errorf("sound() = %t of %s", got.sound(), got)
			}
		})
	}
}
