package status

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestNameConditions: what the owner says of DNS, and who has the Service; nothing of it once the spec asks for neither.
func TestNameConditions(t *testing.T) {
	trouble := func(object string) *v1alpha1.AgentStatus {
		return &v1alpha1.AgentStatus{Problems: []v1alpha1.AgentProblem{{Reason: v1alpha1.ProblemNameNotRegistered, Object: object, Message: "REFUSED"}}}
	}
	for name, tc := range map[string]struct {
		change func(f *ResourceFacts)
		want   metav1.ConditionStatus
		says   string
	}{
		"well":                       {func(*ResourceFacts) {}, metav1.ConditionTrue, "sales.example.org is kept in DNS by node-a"},
		"trouble":                    {func(f *ResourceFacts) { f.Owner.Status.Agent = trouble("demo/name") }, metav1.ConditionFalse, "REFUSED"},
		"trouble of another name":    {func(f *ResourceFacts) { f.Owner.Status.Agent = trouble("demo/other") }, metav1.ConditionTrue, "is kept"},
		"offline":                    {func(f *ResourceFacts) { f.Resource.Status.State = v1alpha1.ResourceOffline }, metav1.ConditionFalse, "not online"},
		"an owner that says nothing": {func(f *ResourceFacts) { f.Owner.Status.Agent = nil }, metav1.ConditionUnknown, "says nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "name"}}
			r.Spec.NetworkName = &v1alpha1.NetworkName{Name: "sales", DNS: &v1alpha1.DNSRegistration{Zone: "example.org"}, Service: &v1alpha1.NameService{}}
			r.Status.State = v1alpha1.ResourceOnline
			owner := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}}
			owner.Status.Agent = &v1alpha1.AgentStatus{}
			f := &ResourceFacts{Resource: r, Owner: owner, Conflict: "somebody else has it", Now: time.Unix(1, 0)}
			tc.change(f)
			r.Status.Conditions = ResourceConditions(f)
			c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ResourceConditionRegistered)
			if c == nil || c.Status != tc.want || !strings.Contains(c.Message, tc.says) {
				t.Errorf("Registered is %+v", c)
			}
			p := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ResourceConditionPublished)
			if p == nil || p.Status != metav1.ConditionFalse || p.Reason != v1alpha1.ResourceReasonServiceConflict || p.Message != f.Conflict {
				t.Errorf("Published is %+v", p)
			}
			f.Conflict = ""
			if !meta.IsStatusConditionTrue(ResourceConditions(f), v1alpha1.ResourceConditionPublished) {
				t.Error("Published stays False without a conflict")
			}
			r.Spec.NetworkName.DNS, r.Spec.NetworkName.Service = nil, nil
			for _, left := range ResourceConditions(f) {
				if left.Type == v1alpha1.ResourceConditionRegistered || left.Type == v1alpha1.ResourceConditionPublished {
					t.Errorf("%s is left", left.Type)
				}
			}
		})
	}
}
