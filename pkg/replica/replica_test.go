package replica

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

func objects(groups int) *snapshot.Objects {
	o := &snapshot.Objects{Cluster: &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{
		Name: "demo", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}}
	for i := range groups {
		g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("g", i), UID: types.UID(fmt.Sprintf("%08x", i*2654435761))}}
		g.Status.Assignment = &v1alpha1.Assignment{Node: "a", Epoch: int64(i + 1)}
		o.Groups = append(o.Groups, g)
		o.Resources = append(o.Resources, &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("r", i)}})
	}
	return o
}

func TestRoundTrip(t *testing.T) {
	raw, err := Encode(objects(3), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]model.Epoch{"00000000": 1, "9e3779b1": 2, "13c6ef362": 3}
	if diff := cmp.Diff(want, c.Epochs()); diff != "" {
		t.Errorf("epochs (-want +got):\n%s", diff)
	}
	if c.Cluster.Name != "demo" || c.Cluster.ManagedFields != nil || len(c.Resources) != 3 {
		t.Errorf("cluster %+v, %d resources", c.Cluster.ObjectMeta, len(c.Resources))
	}
}

// TestTooLarge: the epochs come before the resources.
func TestTooLarge(t *testing.T) {
	o := objects(2000)
	whole, err := Encode(o, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Encode(o, len(whole)-1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Decode(raw)
	if err != nil || len(c.Resources) != 0 || len(c.Epochs()) != 2000 {
		t.Errorf("%v, %d resources, %d epochs", err, len(c.Resources), len(c.Epochs()))
	}
	if _, err := Encode(o, 100); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want %v", err, ErrTooLarge)
	}
}

func FuzzDecode(f *testing.F) {
	raw, err := Encode(objects(2), 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Decode(raw)
		if err != nil {
			return
		}
		for uid, e := range c.Epochs() {
			if uid == "" || e == 0 || e > model.MaxEpoch {
				t.Errorf("epoch %d of %q", e, uid)
			}
		}
	})
}
