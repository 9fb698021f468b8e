package nodeagent

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestNameKeys: what the API server has told stays known without it, also to the next agent; nothing of it is ever told.
func TestNameKeys(t *testing.T) {
	group := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "prod"}}
	name := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "name"}, Spec: v1alpha1.ResourceSpec{GroupName: "shop"}}
	name.Spec.NetworkName = &v1alpha1.NetworkName{Name: "sales", DNS: &v1alpha1.DNSRegistration{TSIGSecretRef: &v1alpha1.LocalSecretReference{Name: "tsig"}}}
	stranger := name.DeepCopy()
	stranger.Name, stranger.Spec.GroupName = "other", "of-another-cluster"
	stranger.Spec.NetworkName.DNS.TSIGSecretRef.Name = "theirs"
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "tsig"}, Data: map[string][]byte{"name": []byte("key"), "secret": []byte("c2VjcmV0")}}
	b := newBench(t, group, name, stranger, secret)
	gone, reads := false, 0
	watched, ok := b.api.(client.WithWatch)
	if !ok {
		t.Fatal("the fake API has no watches")
	}
	direct := interceptor.NewClient(watched, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if reads++; gone {
			return errors.New("no route to host")
		}
		return c.Get(ctx, key, obj, opts...)
	}})
	w := &world{cached: b.api, direct: direct}
	path := filepath.Join(t.TempDir(), secretsFile)
	fresh := func() *vault {
		k := &vault{log: testr.New(t), cluster: "prod", world: func() *world { return w }, settings: func() *Settings { return nil }, path: path, problems: newProblems(func() {})}
		k.load()
		return k
	}
	k := fresh()
	if !k.refresh(t.Context(), w) || reads != 1 || len(k.problems.list()) != 0 {
		t.Errorf("after %d reads: %+v", reads, k.problems.list())
	}
	gone = true
	if !k.refresh(t.Context(), w) {
		t.Error("the names are not known")
	}
	if list := k.problems.list(); len(list) != 1 || list[0].Reason != v1alpha1.ProblemNameKey || list[0].Object != "shop/tsig" || !strings.Contains(list[0].Message, "agents need a Role") {
		t.Errorf("problems: %+v", list)
	}
	for _, k := range []*vault{k, fresh()} {
		if data, err := k.of(t.Context(), "shop", "tsig"); err != nil || string(data["secret"]) != "c2VjcmV0" {
			t.Errorf("without the API server: %v, %v", data, err)
		}
		if _, err := k.of(t.Context(), "shop", "another"); err == nil {
			t.Error("a Secret that was never read is known")
		}
	}
	gone = false
	secret.Data["secret"] = []byte("not base64 c2VjcmV0")
	if err := b.api.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	k.refresh(t.Context(), w)
	if list := k.problems.list(); len(list) != 1 || !strings.Contains(list[0].Message, "is not base64") || strings.Contains(list[0].Message, "c2VjcmV0") {
		t.Errorf("problems: %+v", list)
	}
	if data, err := k.of(t.Context(), "shop", "tsig"); err != nil || string(data["secret"]) != "c2VjcmV0" {
		t.Errorf("a Secret that is no key has replaced one that is: %v", err)
	}
	if err := b.api.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if k.refresh(t.Context(), w); len(k.known) != 0 || len(k.problems.list()) != 0 {
		t.Error("what no name refers to is still known")
	}
}
