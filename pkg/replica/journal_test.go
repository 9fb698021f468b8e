package replica

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// gives is an assignment that was made in a view, so many seconds after the beginning.
func gives(node string, id int32, epoch, view, at int64) *v1alpha1.Assignment {
	return &v1alpha1.Assignment{
		Node: node, NodeID: id, Generation: 1, Epoch: epoch, ViewID: v1alpha1.ViewID{Number: view, Coordinator: 1},
		Time: &metav1.MicroTime{Time: time.Unix(at, 0).UTC()},
	}
}

func entry(view, number uint64, a *v1alpha1.Assignment) Entry {
	return Entry{
		ID: EntryID{View: model.ViewID{Number: view, Coordinator: 1}, Session: 1, Number: number}, UID: "00000000", Name: "g0",
		Status: &v1alpha1.ResourceGroupStatus{Assignment: a}, Decided: true,
	}
}

func TestWritten(t *testing.T) {
	decided := entry(9, 1, gives("b", 2, 518, 9, 100))
	cases := map[string]struct {
		shown *v1alpha1.Assignment
		entry Entry
		want  *v1alpha1.Assignment
	}{
		"never assigned":                       {entry: decided, want: decided.Status.Assignment},
		"an older one":                         {shown: gives("c", 3, 4, 7, 1), entry: decided, want: decided.Status.Assignment},
		"written before":                       {shown: gives("b", 2, 518, 9, 100), entry: decided, want: decided.Status.Assignment},
		"a later entry of the view is written": {shown: gives("a", 1, 519, 9, 101), entry: decided},
		"one of a newer view stands":           {shown: gives("a", 1, 5, 10, 50), entry: entry(9, 1, gives("b", 2, 5, 9, 100))},
		"an entry that one disk alone had":     {shown: gives("a", 1, 300, 10, 50), entry: decided, want: gives("a", 1, 300, 10, 50)},
		"one that nobody obeyed": {
			shown: gives("c", 3, 600, 8, 99), entry: decided,
			want: func() *v1alpha1.Assignment {
				a := gives("b", 2, 601, 9, 100)
				a.Unproven = []v1alpha1.UnprovenOwner{{Node: "c", NodeID: 3, Generation: 1, Epoch: 600}}
				return a
			}(),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got *v1alpha1.Assignment
			if st := tc.entry.Written(&v1alpha1.ResourceGroupStatus{Assignment: tc.shown}); st != nil {
				got = st.Assignment
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestApply: a later view's assignment stands whatever its epoch is, and the epoch of what is only history is remembered (O7).
func TestApply(t *testing.T) {
	c := Of(objects(1))
	c.Groups[0].Status.Assignment = gives("a", 1, 5, 10, 1)
	got := c.Apply([]Entry{entry(9, 1, gives("b", 2, 518, 9, 100))}).Groups[0].Status
	if got.Assignment.Node != "a" || got.EpochFloor != 518 {
		t.Errorf("%+v", got)
	}
	got = c.Apply([]Entry{entry(11, 1, gives("b", 2, 600, 11, 100)), entry(11, 2, gives("c", 3, 601, 11, 101))}).Groups[0].Status
	if got.Assignment.Node != "c" || c.Groups[0].Status.Assignment.Node != "a" {
		t.Errorf("%+v", got)
	}
}

func TestNewest(t *testing.T) {
	old, young := Of(objects(2)), Of(objects(2))
	young.Cluster.ResourceVersion, old.Cluster.ResourceVersion = "20", "9"
	old.Groups[1].Status.Assignment = gives("b", 2, 7, 9, 1)
	got := Newest(old, nil, young)
	if got.Cluster.ResourceVersion != "20" || got.Groups[1].Status.Assignment.Node != "b" || got.Groups[0].Status.Assignment.Epoch != 1 {
		t.Errorf("version %s, %+v, %+v", got.Cluster.ResourceVersion, got.Groups[0].Status.Assignment, got.Groups[1].Status.Assignment)
	}
	if Newest(nil, nil) != nil {
		t.Error("a copy was made of nothing")
	}
}

func TestMergeEntries(t *testing.T) {
	one, two, three := entry(8, 2, nil), entry(9, 1, nil), entry(9, 2, nil)
	got := MergeEntries([]Entry{two, three}, []Entry{one, two})
	if len(got) != 3 || got[0].ID != one.ID || got[1].ID != two.ID || got[2].ID != three.ID {
		t.Errorf("%v", got)
	}
}

func TestPage(t *testing.T) {
	var journal []Entry
	for i := range uint64(PageEntries + 6) {
		journal = append(journal, entry(9, i+1, gives("b", 2, int64(518+i), 9, int64(i))))
	}
	page, token, n, err := Page(journal)
	if err != nil || n != PageEntries || token != TokenOf(journal[:n]) {
		t.Fatal(n, token, err)
	}
	got, err := ReadPage(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(journal[:n], got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if page, token, n, err := Page(nil); page != nil || token != "" || n != 0 || err != nil {
		t.Error("a page was made of nothing")
	}
}

func FuzzReadPage(f *testing.F) {
	page, _, _, err := Page([]Entry{entry(9, 1, gives("b", 2, 518, 9, 1))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, page []byte) {
		entries, err := ReadPage(page)
		if err != nil {
			return
		}
		for i := range entries {
			if e := &entries[i]; e.Status == nil || e.epoch() < 0 || e.epoch() > int64(model.MaxEpoch) {
				t.Errorf("entry %+v", e)
			}
			entries[i].Written(&v1alpha1.ResourceGroupStatus{})
		}
		Of(objects(1)).Apply(entries)
	})
}
